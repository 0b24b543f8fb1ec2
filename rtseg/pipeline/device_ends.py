"""The two ends of a run on the device: files decoded and encoded there too, and what is said of both.

PyAV is loaded only where there is a video file to decode or to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtseg.pipeline.device import DeviceChoice
from rtseg.sinks.base import Sink
from rtseg.sources.base import Source


def on_device(source: Source, sinks: Sequence[Sink]) -> tuple[Source, tuple[Sink, ...]]:
    """Return source and sinks, those of video files in their version for the GPU's own decoder and encoder.

    Whether the GPU has one shows when they are opened; where it has not, they use the CPU and say why.
    """
    if any(path for path in source.files()):
        from rtseg.sources import hardware as decoding

        source = decoding.upgraded(source)
    if any(sink.name == "file" for sink in sinks):
        from rtseg.sinks import hardware as encoding

        sinks = [encoding.upgraded(sink) for sink in sinks]
    return source, tuple(sinks)


def takes_surfaces(sinks: Sequence[Sink]) -> bool:
    """Return whether every sink, opened, takes pictures in device memory."""
    return bool(sinks) and all(encoder_of(sink) == "nvenc" for sink in sinks)


def path_facts(choice: DeviceChoice, source: Source, sinks: Sequence[Sink]) -> dict[str, Any]:
    """Return which way frames go and who decodes and encodes, each with its reason, as plain values.

    `line` is the same for people, in a few words; empty where nothing was tried on a device.
    """
    decoder = getattr(source, "decoder", None)
    encoders = [encoder for encoder in map(encoder_of, sinks) if encoder]
    facts: dict[str, Any] = {"frames": choice.reason, "line": ""}
    if choice.taken:
        facts |= {"decode": decoder or "cpu", "encode": encoders}
        parts = [f"decode: {decoder}"] if decoder else []
        facts["line"] = "  ".join(parts + [f"encode: {encoder}" for encoder in encoders])
    return facts


def encoder_of(sink: Sink) -> str:
    """Return who encodes what goes into a sink that can be on the GPU; nothing for another."""
    return str(getattr(sink, "encoder", ""))
