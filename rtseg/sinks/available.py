"""Which video encoders and which ways out the installed packages have, for `rtseg doctor`."""

from __future__ import annotations

from dataclasses import dataclass

import av
import av.codec

from rtseg.sinks.codecs import CODECS


def encoders_available() -> dict[str, bool]:
    """Return for each codec that a file sink knows whether its encoder is there."""
    return {name: _has_encoder(codec.encoder) for name, codec in CODECS.items()}


@dataclass(frozen=True, slots=True)
class WayOut:
    """Whether one kind of live output works here."""

    name: str
    works: bool
    detail: str
    remedy: str = ""


def live_outputs() -> list[WayOut]:
    """Return every kind of live output, whether it works here, and what mends it where it does not."""
    from rtseg.sinks.transport import has_srt
    from rtseg.sinks.virtualcam import camera_available

    if _has_encoder("libx264") and _has_encoder("aac"):
        network = WayOut("network", True, "rtmp(s), rtsp(s), udp, with H.264 and AAC")
    else:
        network = WayOut("network", False, "FFmpeg has no libx264 or no AAC encoder", "pip install --upgrade av")
    srt = (
        WayOut("srt", True, "FFmpeg has SRT")
        if has_srt()
        else WayOut("srt", False, "FFmpeg behind PyAV is built without SRT", "pip install av --no-binary av")
    )
    return [network, srt, WayOut("virtualcam", *camera_available())]


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
