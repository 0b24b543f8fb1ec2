"""MPEG-TS over UDP (one host or a multicast group), and over SRT where FFmpeg has it."""

from __future__ import annotations

import socket
import time
from fractions import Fraction
from typing import Any, Final

import av
from av.container import OutputContainer
from av.stream import Stream

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.address import Address
from rtseg.sinks.h264 import with_adts
from rtseg.sinks.live_sound import EncodedSound
from rtseg.sinks.live_video import TICKS_A_SECOND, EncodedPicture
from rtseg.sinks.stream import Carried, Carrier
from rtseg.sinks.wire import is_ready

PACKET_BYTES: Final = 188
DATAGRAM_BYTES: Final = 7 * PACKET_BYTES
"""What fits, with all headers, into an Ethernet frame."""

BURST_DATAGRAMS: Final = 16
BURST_SECONDS: Final = 0.001
"""A key picture is a hundred datagrams; receivers have room for about that many, so they are given time to read."""

FULL_SECONDS: Final = 0.2
MUXER: Final = {
    "flush_packets": "1",
    "max_interleave_delta": "1",
    "pes_payload_size": "0",
    "omit_video_pes_length": "0",
}
"""Out at once: no packet waits for one of the other stream, sound is not gathered, and a picture says how long it is,
so that a receiver need not wait for the next to know where it ends."""


class TransportCarrier(Carrier):
    """An MPEG-TS multiplexer; where its bytes go is said by `_target`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._container: OutputContainer | None = None
        self._video: Stream | None = None
        self._audio: Stream | None = None
        self._sound_config = b""

    def open(self, carried: Carried) -> None:
        """Open the place and write the tables.

        Raises:
            SinkError: it cannot be reached.
        """
        try:
            self._container = av.open(self._target(), "w", format="mpegts", container_options=MUXER)
            self._video = self._container.add_mux_stream("h264", rate=carried.frame_rate)
            self._video.time_base = Fraction(1, TICKS_A_SECOND)
            if carried.has_sound:
                self._sound_config = carried.sound_config
                self._audio = self._container.add_mux_stream("aac", rate=carried.sound_rate_hz)
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._lost(error) from error

    def picture(self, picture: EncodedPicture) -> None:
        """Multiplex and send one picture."""
        self._mux(self._video, picture.content, picture.seconds, is_key=picture.is_key)

    def sound(self, sound: EncodedSound) -> None:
        """Multiplex and send one packet of sound."""
        self._mux(self._audio, with_adts(sound.content, self._sound_config), sound.seconds, is_key=True)

    def close(self, *, politely: bool) -> None:
        """Send what is left; let go of everything."""
        del politely
        container, self._container = self._container, None
        self._video = self._audio = None
        if container is not None:
            try:
                container.close()
            except (av.FFmpegError, OSError):
                pass  # the peer is gone, and this connection with it

    def _target(self) -> Any:
        return self._address.base

    def _mux(self, stream: Stream | None, content: bytes, seconds: Fraction, *, is_key: bool) -> None:
        if self._container is None or stream is None:
            raise SinkError(f"output {self._address}: got a packet while not open; expected open() first.")
        packet: av.Packet[Any] = av.Packet(content)
        packet.time_base = Fraction(1, TICKS_A_SECOND)
        packet.pts = packet.dts = round(seconds * TICKS_A_SECOND)
        packet.is_keyframe = is_key
        packet.stream = stream
        try:
            self._container.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: BaseException) -> SinkError:
        if isinstance(error, SinkError):
            return error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SinkError(
            f"output {self._address}: got {str(reason)!r} while sending; expected a place that can be reached. "
            f"Check host and network."
        )


class UdpCarrier(TransportCarrier):
    """MPEG-TS in datagrams. Nobody has to listen; `?ttl=4` and `?localaddr=ADDRESS` are for multicast."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._datagrams: Datagrams | None = None

    def open(self, carried: Carried) -> None:
        """Find the host and write the tables. Raises SinkError where there is none of that name."""
        self._datagrams = Datagrams(self._address)
        super().open(carried)

    def close(self, *, politely: bool) -> None:
        """Send what is left and close the socket; idempotent."""
        super().close(politely=politely)
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    def _target(self) -> Any:
        return self._datagrams


class Datagrams:
    """A writable "file" whose bytes leave as datagrams of whole transport packets, as soon as they are written.

    A socket that stays full loses the datagram, as the network itself might: waiting would make everything late.
    """

    def __init__(self, address: Address) -> None:
        self.name = "udp"
        self._address = address
        family, self._place = _datagram_place(address)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._set_multicast(family)
        self._burst = 0

    def write(self, content: bytes) -> int:
        """Send it; returns how many bytes were taken, which is all of them."""
        view = memoryview(content)
        for start in range(0, len(view), DATAGRAM_BYTES):
            self._send(view[start : start + DATAGRAM_BYTES])
            self._burst += 1
            if self._burst % BURST_DATAGRAMS == 0:
                time.sleep(BURST_SECONDS)
        self._burst = 0
        return len(view)

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._socket.close()

    def _send(self, datagram: memoryview) -> None:
        try:
            self._socket.sendto(datagram, self._place)
        except BlockingIOError:
            if is_ready(self._socket, FULL_SECONDS, for_writing=True):
                self._socket.sendto(datagram, self._place)
        except ConnectionRefusedError:
            pass  # nobody listens at the moment

    def _set_multicast(self, family: int) -> None:
        try:
            ttl = self._address.query_value("ttl")
            if ttl is not None and family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, int(ttl))
            local = self._address.query_value("localaddr")
            if local is not None and family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(local))
        except (OSError, ValueError, OverflowError) as error:
            self._socket.close()
            raise ConfigError(
                f"output {self._address}: got a ttl or localaddr that cannot be set ({error}); expected a small number "
                f"and an address of this machine. Mend or drop them."
            ) from error


def _datagram_place(address: Address) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise SinkError(
            f"output {address}: got no address for the host {address.host}; expected one that can be found. Check its "
            f"name and the network."
        ) from error
    return int(found[0][0]), found[0][4]


def has_srt() -> bool:
    """Find out whether the FFmpeg behind PyAV has SRT, which the ready-made wheels have not."""
    return has_protocol("srt")


def has_protocol(scheme: str) -> bool:
    """Find out whether the FFmpeg behind PyAV knows how to write to a URL of this scheme, without any network."""
    try:
        with av.open(f"{scheme}://", "w", format="mpegts") as container:
            container.add_mux_stream("h264", rate=25)
            container.start_encoding()
    except av.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError, ValueError):
        return True
    return True


def check_srt(address: Address) -> None:
    """Raise ConfigError where FFmpeg has no SRT."""
    if not has_srt():
        raise ConfigError(
            f"output {address}: got an FFmpeg without SRT; expected one built with libsrt. Build PyAV against such an "
            f"FFmpeg (pip install av --no-binary av), or use udp:// or rtmp://."
        )
