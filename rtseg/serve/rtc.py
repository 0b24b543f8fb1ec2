"""WebRTC as this server wants it: no outside servers, little waiting, and an end when the other side has gone.

Note [Consent]: ICE asks the other side every few seconds whether it still wants to be sent to. As shipped, aioice takes
30 s to notice that it is gone; here it takes 3 to 7 s, so that everything is released within 10 s.

Note [Whose packets]: browsers do not offer loopback addresses, so a server that is bound to loopback still has to
listen on the machine's other addresses for media. It takes offers of addresses of this machine only, and ICE answers
nobody who does not know the password that went over the loopback connection.

Note [Marker bit]: aiortc waits for the first packet of the next frame before it gives a frame to the decoder: one frame
period of waiting, 33 ms. The RTP marker says that a frame is complete, and is believed here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import queue
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aioice.ice
import ifaddr
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpreceiver import RTCRtpReceiver

from rtseg.errors import ConfigError
from rtseg.serve.encoding import CODECS
from rtseg.serve.mailbox import Mailbox

CONNECT_SECONDS: Final = 15.0
"""How long an offer may take to become a connection."""
MOST_CODED_FRAMES: Final = 10
"""Coded frames that may wait for the decoder of a camera."""
MOST_SDP_CHARACTERS: Final = 100_000
MOST_MEDIA_LINES: Final = 4

aioice.ice.CONSENT_INTERVAL = 1  # see Note [Consent]
aioice.ice.CONSENT_FAILURES = 4
for _noisy in ("aiortc", "aioice"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)  # what a hostile peer sends is no news of this server's


class MarkedJitterBuffer(JitterBuffer):
    """Gives a frame as soon as its last packet is there; see Note [Marker bit]."""

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        """Return the oldest frame that is complete, if there is one."""
        packets: list[Any] = []
        for count in range(self.capacity):
            packet: Any = self._packets[((self._origin or 0) + count) % self._capacity]
            if packet is None or (packets and packet.timestamp != packets[0].timestamp):
                break
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                return _frame_of(packets)
        return super()._remove_frame(sequence_number)


class ShortQueue(queue.Queue[Any]):
    """Coded frames on their way to a decoder: where it falls behind, all that wait go, and a keyframe is asked for.

    aiortc lets them pile up without end, so that a machine with too much to do would show an ever older picture.
    """

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__()
        self._on_overflow = on_overflow

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a frame, or None, which ends the decoder; never waits."""
        if item is not None and self.qsize() >= MOST_CODED_FRAMES:
            with suppress(queue.Empty):
                while True:
                    self.get_nowait()
            self._on_overflow()
        super().put(item, block, timeout)


def _frame_of(packets: Sequence[Any]) -> JitterFrame:
    return JitterFrame(data=b"".join(packet._data for packet in packets), timestamp=packets[0].timestamp)


class CodedTrack(MediaStreamTrack):
    """A video track that gives the packets of a mailbox, coded already."""

    kind = "video"

    def __init__(self, box: Mailbox) -> None:
        super().__init__()
        self._box = box

    async def recv(self) -> Any:
        """Wait for the next packet. Raises MediaStreamError where there will be none."""
        packet = None if self.readyState == "ended" else await self._box.get()
        if packet is None:
            raise MediaStreamError
        return packet


def new_connection() -> RTCPeerConnection:
    """Return a connection that asks no server outside for its address."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def add_coded_track(
    connection: RTCPeerConnection, box: Mailbox, *, want_keyframe: Callable[[], None], takes_video: bool
) -> None:
    """Send what a mailbox holds; a viewer who lost something asks for a keyframe.

    Args:
        connection: before it has taken the offer.
        box: what is sent.
        want_keyframe: called when the other side asks for one.
        takes_video: whether the other side's video is wanted; what it sends otherwise is not even decoded.
    """
    sender = connection.addTrack(CodedTrack(box))
    sender._send_keyframe = want_keyframe  # type: ignore[method-assign]
    transceiver = next(found for found in connection.getTransceivers() if found.sender is sender)
    transceiver.direction = "sendrecv" if takes_video else "sendonly"
    known = RTCRtpSender.getCapabilities("video").codecs
    wanted = [codec for name in (*CODECS, "rtx") for codec in known if codec.name.lower() == name.lower()]
    transceiver.setCodecPreferences(wanted)


def codec_of(connection: RTCPeerConnection) -> str:
    """Return which of CODECS the two sides agreed on. Raises ConfigError where it is none."""
    for transceiver in connection.getTransceivers():
        if transceiver.kind == "video" and transceiver._codecs:
            name = transceiver._codecs[0].name.upper()
            if name in CODECS:
                return str(name)
    raise ConfigError(f"offer: got no video codec of {', '.join(CODECS)}; expected one. Use another browser.")


def take_frames_early(receiver: RTCRtpReceiver) -> None:
    """Let a receiver give frames without waiting for the next one, and keep few; see Note [Marker bit]."""
    lost = getattr(receiver, "_RTCRtpReceiver__decoder_error", None)
    if lost is not None and hasattr(receiver, "_RTCRtpReceiver__decoder_queue"):
        receiver._RTCRtpReceiver__decoder_queue = ShortQueue(lost.set)
    name = "_RTCRtpReceiver__jitter_buffer"
    if isinstance(getattr(receiver, name, None), JitterBuffer):
        setattr(receiver, name, MarkedJitterBuffer(capacity=512, is_video=True))


def checked_offer(body: object) -> str:
    """Return the SDP of a posted offer. Raises ConfigError for what can be none."""
    if not isinstance(body, dict):
        raise ConfigError("offer: got no JSON object; expected {sdp, type}. Send the browser's offer.")
    sdp, kind = body.get("sdp"), body.get("type", "offer")
    if not isinstance(sdp, str) or kind != "offer" or not sdp.startswith("v=0"):
        raise ConfigError("offer: got no SDP of type offer; expected the browser's offer, which begins with v=0.")
    if len(sdp) > MOST_SDP_CHARACTERS or sdp.count("\nm=") > MOST_MEDIA_LINES or "\0" in sdp:
        raise ConfigError(
            f"offer: got {len(sdp)} characters and {sdp.count(chr(10) + 'm=')} media lines; "
            f"expected at most {MOST_SDP_CHARACTERS} and {MOST_MEDIA_LINES}. Send a plain offer."
        )
    kinds = re.findall(r"^m=(\S+)", sdp, re.MULTILINE)
    if sorted(set(kinds) - {"application"}) != ["video"] or kinds.count("video") > 1:
        raise ConfigError(f"offer: got media {', '.join(kinds)[:60] or 'none'}; expected one video and no sound.")
    return sdp


def own_candidates_only(sdp: str) -> str:
    """Return an offer without candidates that are not addresses of this machine; see Note [Whose packets].

    Names (`….local`) go too, as looking them up asks the whole network: the other side's own checks tell its address.
    Its list is taken for unfinished, so that these are waited for.
    """
    own = {"127.0.0.1", "::1"}
    for adapter in ifaddr.get_adapters():
        own |= {ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips}
    return _filtered(sdp, lambda host: host in own)


def literal_candidates_only(sdp: str) -> str:
    """Return an offer without candidates that are names, multicast or no address at all."""

    def is_address(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return not (address.is_multicast or address.is_unspecified)

    return _filtered(sdp, is_address)


_CANDIDATE: Final = re.compile(r"^a=candidate:\S+ \d+ \S+ \d+ (?P<host>\S+) \d+ typ ")


def _filtered(sdp: str, keep: Callable[[str], bool]) -> str:
    lines = []
    for line in sdp.splitlines():
        found = _CANDIDATE.match(line)
        is_candidate = line.startswith("a=candidate")
        if (is_candidate and (found is None or not keep(found["host"]))) or line.startswith("a=end-of-candidates"):
            continue
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


async def accept(connection: RTCPeerConnection, sdp: str) -> None:
    """Take an offer.

    Raises:
        ConfigError: it cannot be understood, or asks for something else than video and data.
    """
    try:
        await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
    except Exception as error:
        raise ConfigError(
            f"offer: got {type(error).__name__} from its SDP; expected one that can be read. Reload the page."
        ) from error


async def answer(connection: RTCPeerConnection) -> RTCSessionDescription:
    """Return the answer, with this machine's candidates in it.

    Raises:
        ConfigError: the offer leaves nothing to be answered.
    """
    try:
        await connection.setLocalDescription(await connection.createAnswer())
    except Exception as error:
        raise ConfigError(
            f"offer: got {type(error).__name__} while answering it; expected audio-less video. Reload the page."
        ) from error
    return connection.localDescription


class Lifeline:
    """Calls `on_lost` once when a connection has failed, was closed by the other side, or never came about.

    Threading: the event loop's thread.
    """

    def __init__(self, connection: RTCPeerConnection, on_lost: Callable[[], None]) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._lost = False
        connection.on("connectionstatechange", self._changed)
        self._deadline = asyncio.get_running_loop().call_later(CONNECT_SECONDS, self._check)

    def cut(self) -> None:
        """Watch no longer; idempotent."""
        self._lost = True
        self._deadline.cancel()

    def _changed(self) -> None:
        if self._connection.connectionState == "connected":
            self._deadline.cancel()
        elif self._connection.connectionState in ("failed", "closed"):
            self._lose()

    def _check(self) -> None:
        if self._connection.connectionState != "connected":
            self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self.cut()
            self._on_lost()


async def close_quietly(connection: RTCPeerConnection, seconds: float = 2.0) -> None:
    """Close a connection; one that does not answer is left behind after that time."""
    with suppress(TimeoutError, ConnectionError, OSError):
        await asyncio.wait_for(connection.close(), seconds)
