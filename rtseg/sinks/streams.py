"""Which URL is carried by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rtseg.sinks.address import Address, parse_address
from rtseg.sinks.rtmp import RtmpCarrier
from rtseg.sinks.rtsp import RtspCarrier
from rtseg.sinks.stream import Carrier, StreamSink
from rtseg.sinks.transport import TransportCarrier, UdpCarrier, check_srt

CARRIERS: Final[dict[str, Callable[[Address], Carrier]]] = {
    "rtmp": RtmpCarrier,
    "rtmps": RtmpCarrier,
    "rtsp": RtspCarrier,
    "rtsps": RtspCarrier,
    "udp": UdpCarrier,
    "srt": TransportCarrier,
}


def stream_sink(url: str) -> StreamSink:
    """Return the sink that sends to a URL; nothing is connected yet.

    Raises:
        ConfigError: the URL or an option in it cannot be right, or FFmpeg lacks what it needs.
    """
    address = parse_address(url)
    if address.scheme == "srt":
        check_srt(address)
    if address.scheme in ("rtmp", "rtmps"):
        RtmpCarrier(address)  # says at once where application or key are missing
    return StreamSink(address, CARRIERS[address.scheme])
