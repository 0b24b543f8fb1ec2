"""Which video encoders the installed FFmpeg has, for `rtseg doctor`."""

from __future__ import annotations

import av
import av.codec

from rtseg.sinks.codecs import CODECS


def encoders_available() -> dict[str, bool]:
    """Return for each codec that a file sink knows whether its encoder is there."""
    return {name: _has_encoder(codec.encoder) for name, codec in CODECS.items()}


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
