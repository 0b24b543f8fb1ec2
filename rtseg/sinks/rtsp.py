"""Pushing to an RTSP server: ANNOUNCE, SETUP, RECORD, then RTP inside the same TCP connection.

FFmpeg's own RTSP writer is not used, for the reason given in rtseg/sinks/rtmp.py.
"""

from __future__ import annotations

import base64
import struct
import time
from fractions import Fraction
from typing import Final

from rtseg.errors import SinkError
from rtseg.sinks.address import Address
from rtseg.sinks.h264 import parameter_sets
from rtseg.sinks.live_sound import EncodedSound
from rtseg.sinks.live_video import TICKS_A_SECOND, EncodedPicture
from rtseg.sinks.rtp import RtpStream, picture_payloads, sound_payload
from rtseg.sinks.rtsp_messages import Answer, AnswerReader, Credentials, request
from rtseg.sinks.stream import Carried, Carrier
from rtseg.sinks.wire import ANSWER_SECONDS, Wire

PICTURE_TYPE, SOUND_TYPE = 96, 97
ALIVE_SECONDS: Final = 25.0
"""How often the server is told, inside the session, that we are still here."""

UNAUTHORISED: Final = 401
REFUSALS: Final = {
    401: "got no access (401 {reason}); expected the right user and password, as {scheme}://USER:PASSWORD@HOST/…. "
    "Check them.",
    403: "got no access (403 {reason}); expected the right to publish. Check user, password and path.",
    404: "got no such path (404 {reason}); expected one that the server knows. Check the path.",
    405: "got a server that takes no streams (405 {reason}); expected one for publishing. Check server and path.",
    406: "got a refusal of this path (406 {reason}); expected a path for publishing. Check it.",
    415: "got a refusal of the codec (415 {reason}); expected a server that takes H.264 and AAC. Add #audio=off, or "
    "choose another server.",
    461: "got a refusal of the transport (461 {reason}); expected a server that takes RTP over TCP. Allow it there.",
    501: "got a server that takes no streams (501 {reason}); expected one for publishing. Check server and path.",
}


class RtspCarrier(Carrier):
    """One recorded RTSP session."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._wire = Wire(address)
        self._reader = AnswerReader()
        self._credentials = Credentials(address.user, address.password)
        self._number = 0
        self._session = ""
        self._recording = False
        self._streams: list[RtpStream] = []
        self._alive_seconds = 0.0

    def open(self, carried: Carried) -> None:
        """Announce the stream and begin to record.

        Raises:
            SinkError: refused, not found, not authorised, a codec that is not taken, or no answer in time.
        """
        self._wire.connect()
        base = self._address.base
        self._ask("OPTIONS", base)
        self._ask("ANNOUNCE", base, {"Content-Type": "application/sdp"}, _sdp(self._address, carried))
        wall_seconds = time.time()
        rates = [(PICTURE_TYPE, TICKS_A_SECOND)]
        if carried.has_sound:
            rates.append((SOUND_TYPE, carried.sound_rate_hz))
        for index, (payload_type, rate_hz) in enumerate(rates):
            channels = f"{2 * index}-{2 * index + 1}"
            way = {"Transport": f"RTP/AVP/TCP;unicast;interleaved={channels};mode=record"}
            answer = self._ask("SETUP", f"{base}/streamid={index}", way)
            self._session = answer.headers.get("session", self._session).partition(";")[0]
            self._streams.append(RtpStream(payload_type=payload_type, rate_hz=rate_hz, wall_start_seconds=wall_seconds))
        self._ask("RECORD", base, {"Range": "npt=0.000-"})
        self._recording = True
        self._alive_seconds = time.monotonic()

    def picture(self, picture: EncodedPicture) -> None:
        """Send one picture."""
        stream = self._streams[0]
        out = bytearray()
        for payload, is_last in picture_payloads(picture.content):
            out += _interleaved(0, stream.packet(payload, picture.seconds, is_last=is_last))
        self._send_media(out, 0, picture.seconds)

    def sound(self, sound: EncodedSound) -> None:
        """Send one packet of sound."""
        packet = self._streams[1].packet(sound_payload(sound.content), sound.seconds, is_last=True)
        self._send_media(bytearray(_interleaved(2, packet)), 1, sound.seconds)

    def close(self, *, politely: bool) -> None:
        """End the session where asked for, and let go of the connection."""
        if politely and self._recording:
            try:
                self._send_request("TEARDOWN", self._address.base)
            except SinkError:
                pass  # it is gone already
        self._recording = False
        self._wire.close()

    def cut(self) -> None:
        """Give up whatever waits for the peer."""
        self._wire.cut()

    def _ask(self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """Send a request and return its answer, proving who we are where that is asked for."""
        answer = self._exchange(method, url, headers, body)
        if answer.status == UNAUTHORISED and self._credentials.take_challenge(answer):
            answer = self._exchange(method, url, headers, body)
        if not 200 <= answer.status < 300:
            raise self._refused(answer, method)
        return answer

    def _exchange(self, method: str, url: str, headers: dict[str, str] | None, body: bytes) -> Answer:
        self._send_request(method, url, headers, body)
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            for answer in self._answers(self._wire.receive(max(0.05, until - time.monotonic()))):
                if answer.headers.get("cseq", str(self._number)) == str(self._number):
                    return answer

    def _send_request(self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self._number += 1
        session = {"Session": self._session} if self._session else {}
        every = {**(headers or {}), **session, **self._credentials.header(method, url)}
        self._wire.send(request(method, url, self._number, every, body))

    def _send_media(self, packets: bytearray, index: int, seconds: Fraction) -> None:
        self._listen()
        report = self._streams[index].report(seconds)
        if report is not None:  # before the packets, so that their clock is known when they come
            self._wire.send(_interleaved(2 * index + 1, report))
        self._wire.send(packets)

    def _listen(self) -> None:
        """Take what the server says, and tell it from time to time that we are still here."""
        if time.monotonic() - self._alive_seconds > ALIVE_SECONDS:
            self._alive_seconds = time.monotonic()
            self._send_request("OPTIONS", self._address.base)
        content = self._wire.pending()
        for answer in self._answers(content) if content else ():
            if answer.status in (UNAUTHORISED, 454):
                raise self._refused(answer, "the session")

    def _answers(self, content: bytes) -> list[Answer]:
        try:
            return self._reader.feed(content)
        except ValueError as error:
            raise SinkError(
                f"output {self._address}: got an answer that is no RTSP; expected an RTSP server. Check the port."
            ) from error

    def _refused(self, answer: Answer, method: str) -> SinkError:
        sentence = REFUSALS.get(answer.status)
        reason = " ".join(answer.reason.split())[:80]
        if sentence is None:
            sentence = f"got {answer.status} {{reason}} to {method}; expected to be allowed to publish. See its log."
        return SinkError(f"output {self._address}: " + sentence.format(reason=reason, scheme=self._address.scheme))


def _interleaved(channel: int, packet: bytes) -> bytes:
    return b"$" + struct.pack(">BH", channel, len(packet)) + packet


def _sdp(address: Address, carried: Carried) -> bytes:
    """Return the description of the stream."""
    sps, pps = parameter_sets(carried.headers)
    sets = ",".join(base64.b64encode(unit).decode() for unit in (sps, pps))
    family = "IP6" if ":" in address.host else "IP4"
    lines = [
        "v=0",
        f"o=- 0 0 IN {family} {'::1' if family == 'IP6' else '127.0.0.1'}",
        "s=rtseg",
        f"c=IN {family} {address.host}",
        "t=0 0",
        f"m=video 0 RTP/AVP {PICTURE_TYPE}",
        f"b=AS:{carried.bitrate // 1000}",
        f"a=rtpmap:{PICTURE_TYPE} H264/{TICKS_A_SECOND}",
        f"a=fmtp:{PICTURE_TYPE} packetization-mode=1; sprop-parameter-sets={sets}; "
        f"profile-level-id={sps[1:4].hex().upper()}",
        "a=control:streamid=0",
    ]
    if carried.has_sound:
        lines += [
            f"m=audio 0 RTP/AVP {SOUND_TYPE}",
            f"a=rtpmap:{SOUND_TYPE} MPEG4-GENERIC/{carried.sound_rate_hz}/{carried.sound_channels}",
            f"a=fmtp:{SOUND_TYPE} profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;"
            f"config={carried.sound_config.hex().upper()}",
            "a=control:streamid=1",
        ]
    return ("\r\n".join(lines) + "\r\n").encode()
