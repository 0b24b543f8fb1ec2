"""Publishing by RTMP: handshake, commands, H.264 and AAC in FLV's packets.

Source: Adobe, Real-Time Messaging Protocol specification 1.0 (2012); Adobe, FLV file format 10.1 (annex E).

FFmpeg's own RTMP writer is not used: through PyAV it takes no timeout and cannot be interrupted, so a peer that stops
reading would hold the run's end up for ever.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from time import monotonic
from typing import Final

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks import amf
from rtseg.sinks.address import Address
from rtseg.sinks.h264 import avc_configuration, with_lengths
from rtseg.sinks.live_sound import EncodedSound
from rtseg.sinks.live_video import EncodedPicture
from rtseg.sinks.rtmp_chunks import (
    AUDIO,
    COMMAND,
    FIRST_CHUNK_BYTES,
    METADATA,
    OUR_CHUNK_BYTES,
    SET_CHUNK_SIZE,
    USER_CONTROL,
    VIDEO,
    ChunkReader,
    Message,
    chunks,
)
from rtseg.sinks.stream import Carried, Carrier
from rtseg.sinks.wire import ANSWER_SECONDS, PeerClosed, Wire

HANDSHAKE_BYTES: Final = 1536
CONTROL, COMMANDS, SOUNDS, PICTURES = 2, 3, 4, 6
"""Chunk channels."""

SECOND_THOUGHTS_SECONDS: Final = 0.2
"""How long is waited for a server (nginx) that says "start" before it looks whether one may, and then hangs up."""

PING, PONG = 6, 7
KEY, INTER, AVC = 0x10, 0x20, 7
AAC_44K_STEREO: Final = 0xAF
"""What FLV says of every AAC, whatever its rate; the truth is in the configuration."""

REFUSALS: Final = {
    "auth": "got a refusal to authenticate ({reason}); expected the right user, password or stream key. Check them.",
    "badname": "got the answer that this stream is not free or not allowed ({reason}); expected a stream key that "
    "nobody else sends to. Check the key, or stop the other sender.",
    "invalidapp": "got no such application ({reason}); expected one that the server has. Check the path.",
}


class RtmpCarrier(Carrier):
    """One published RTMP stream."""

    def __init__(self, address: Address) -> None:
        self._address = address
        path = address.path.strip("/")
        self._app, _, key = path.rpartition("/")
        self._key = f"{key}?{address.query}" if address.query else key
        if not self._app or not key:
            raise ConfigError(
                f"output {address}: got no application and stream key; expected {address.scheme}://HOST/APP/KEY. "
                f"Name both."
            )
        self._wire = Wire(address)
        self._reader = ChunkReader()
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._stream_id = 0
        self._published = False

    def open(self, carried: Carried) -> None:
        """Connect, publish, and send what decoders need first.

        Raises:
            SinkError: refused, not found, not authorised, no answer in time, or no RTMP at all.
        """
        self._wire.connect()
        self._shake_hands()
        self._send(Message(SET_CHUNK_SIZE, struct.pack(">I", OUR_CHUNK_BYTES)), CONTROL)
        self._chunk_bytes = OUR_CHUNK_BYTES
        with self._closing_means("an application", "Check the path"):
            self._ask("connect", 1, self._connection())
        with self._closing_means("a stream key", "Check the key, and whether it may be published to"):
            self._publish()
            self._published = True
            self._send_headers(carried)
            self._note(self._wire.listen(SECOND_THOUGHTS_SECONDS))

    def picture(self, picture: EncodedPicture) -> None:
        """Send one picture."""
        kind = (KEY if picture.is_key else INTER) | AVC
        content = bytes([kind, 1, 0, 0, 0]) + with_lengths(picture.content)
        self._send_media(VIDEO, content, picture.seconds, PICTURES)

    def sound(self, sound: EncodedSound) -> None:
        """Send one packet of sound."""
        self._send_media(AUDIO, bytes([AAC_44K_STEREO, 1]) + sound.content, sound.seconds, SOUNDS)

    def close(self, *, politely: bool) -> None:
        """Unpublish where asked for, and let go of the connection."""
        if politely and self._published:
            try:
                self._command("FCUnpublish", 6, None, self._key)
                self._command("deleteStream", 7, None, float(self._stream_id))
            except SinkError:
                pass  # it is gone already
        self._published = False
        self._wire.close()

    def cut(self) -> None:
        """Give up whatever waits for the peer."""
        self._wire.cut()

    # ---- connecting -------------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        ours = b"\x00" * 8 + os.urandom(HANDSHAKE_BYTES - 8)
        self._wire.send(b"\x03" + ours)
        answer = bytearray()
        while len(answer) < 1 + 2 * HANDSHAKE_BYTES:
            answer += self._wire.receive()
            if answer[0] != 3:
                raise SinkError(
                    f"output {self._address}: got an answer that is no RTMP; expected an RTMP server. Check the port."
                )
        self._wire.send(answer[1 : 1 + HANDSHAKE_BYTES])
        self._note(bytes(answer[1 + 2 * HANDSHAKE_BYTES :]))

    def _publish(self) -> None:
        self._command("releaseStream", 2, None, self._key)
        self._command("FCPublish", 3, None, self._key)
        created = self._ask("createStream", 4, None)
        self._stream_id = int(created) if isinstance(created, int | float) else 1
        self._command("publish", 5, None, self._key, "live", stream_id=self._stream_id)
        self._await_start()

    @contextmanager
    def _closing_means(self, what: str, remedy: str) -> Iterator[None]:
        """Say what a server that hangs up, as many do in place of an answer, probably did not like."""
        try:
            yield
        except PeerClosed as error:
            raise SinkError(
                f"output {self._address}: got a closed connection in place of an answer; expected {what} that the "
                f"server accepts. {remedy}."
            ) from error

    def _connection(self) -> dict[str, amf.Value]:
        base = self._address.base.partition("?")[0]
        address = base[: len(base) - len(self._address.path)]
        return {
            "app": self._app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; rtseg)",
            "tcUrl": f"{address}/{self._app}",
        }

    def _ask(self, name: str, number: int, *values: amf.Value) -> amf.Value:
        """Send a command and return the last value of its answer."""
        self._command(name, number, *values)
        for answer in self._answers():
            if answer[0] == "_result" and answer[1] == number:
                return answer[-1]
            if answer[0] in ("_error", "close") or _level(answer) == "error":
                raise self._refused(answer)
        return None

    def _await_start(self) -> None:
        for answer in self._answers():
            if answer[0] == "onStatus" and _code(answer) == "NetStream.Publish.Start":
                return
            if (answer[0] == "_error" and answer[1] in (0, 5)) or _level(answer) == "error":
                raise self._refused(answer)

    def _answers(self) -> Iterator[list[amf.Value]]:
        """Yield the peer's commands until the caller has had enough."""
        until = monotonic() + ANSWER_SECONDS
        while True:
            for message in self._messages(self._wire.receive(max(0.05, until - monotonic()))):
                if message.kind == COMMAND and (values := _values(message)):
                    yield values

    def _refused(self, answer: list[amf.Value]) -> SinkError:
        facts = answer[-1] if isinstance(answer[-1], Mapping) else {}
        reason = str(facts.get("description") or facts.get("code") or "no reason given")
        for secret in filter(None, (self._key, self._address.password, self._address.user)):
            reason = reason.replace(secret, "***")
        told = f"{facts.get('code', '')} {reason}".lower().replace(" ", "")
        for mark, sentence in REFUSALS.items():
            if mark in told:
                return SinkError(f"output {self._address}: " + sentence.format(reason=reason))
        return SinkError(
            f"output {self._address}: got a refusal ({reason}); expected to be allowed to publish. Check path and key."
        )

    def _send_headers(self, carried: Carried) -> None:
        width, height = carried.size_wh
        facts: dict[str, amf.Value] = {
            "width": float(width),
            "height": float(height),
            "framerate": float(carried.frame_rate),
            "videocodecid": float(AVC),
            "videodatarate": carried.bitrate / 1000,
            "encoder": "rtseg",
        }
        if carried.has_sound:
            facts |= {
                "audiocodecid": 10.0,
                "audiosamplerate": float(carried.sound_rate_hz),
                "stereo": carried.sound_channels == 2,
            }
        metadata = amf.encoded("@setDataFrame", "onMetaData") + amf.ecma_array(facts)
        self._send_media(METADATA, metadata, Fraction(0), SOUNDS)
        configuration = bytes([KEY | AVC, 0, 0, 0, 0]) + avc_configuration(carried.headers)
        self._send_media(VIDEO, configuration, Fraction(0), PICTURES)
        if carried.has_sound:
            self._send_media(AUDIO, bytes([AAC_44K_STEREO, 0]) + carried.sound_config, Fraction(0), SOUNDS)

    # ---- sending and listening --------------------------------------------------------------------------------

    def _send_media(self, kind: int, content: bytes, seconds: Fraction, channel: int) -> None:
        self._note(self._wire.pending())
        self._send(Message(kind, content, self._stream_id, round(seconds * 1000)), channel)

    def _command(self, name: str, number: int, *values: amf.Value, stream_id: int = 0) -> None:
        self._send(Message(COMMAND, amf.encoded(name, float(number), *values), stream_id), COMMANDS)

    def _send(self, message: Message, channel: int) -> None:
        self._wire.send(chunks(message, channel, chunk_bytes=self._chunk_bytes))

    def _note(self, content: bytes) -> None:
        """Take what the peer says meanwhile; a refusal in the middle of a stream is an error."""
        for message in self._messages(content) if content else ():
            answer = _values(message) if message.kind == COMMAND else []
            if answer and _level(answer) == "error":
                raise self._refused(answer)

    def _messages(self, content: bytes) -> list[Message]:
        try:
            found = list(self._reader.feed(content))
        except ValueError as error:
            raise SinkError(
                f"output {self._address}: got an answer that is no RTMP ({error}); expected an RTMP server. "
                f"Check the port."
            ) from error
        for message in found:
            if message.kind == USER_CONTROL and message.content[:2] == struct.pack(">H", PING):
                self._send(Message(USER_CONTROL, struct.pack(">H", PONG) + message.content[2:6]), CONTROL)
        return found


def _values(message: Message) -> list[amf.Value]:
    try:
        values = amf.decoded(message.content)
    except amf.AmfError:
        return []
    return values if len(values) >= 2 else []


def _code(answer: list[amf.Value]) -> str:
    return str(answer[-1].get("code", "")) if isinstance(answer[-1], Mapping) else ""


def _level(answer: list[amf.Value]) -> str:
    return str(answer[-1].get("level", "")) if isinstance(answer[-1], Mapping) else ""
