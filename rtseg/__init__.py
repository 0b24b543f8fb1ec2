"""rtseg: real-time video segmentation.

    import rtseg
    segmenter = rtseg.load("person")
    result = segmenter(rgb)                                    # uint8 [H, W, 3] -> Segmentation
    for frame, result in rtseg.stream("dash.mp4", model="street"): ...
    stats = rtseg.run("dash.mp4", model="street", effect="driving", out="seen.mp4")

Everything public is listed here and loaded at first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtseg.api import run as run
    from rtseg.api import stream as stream
    from rtseg.errors import BackendUnavailable as BackendUnavailable
    from rtseg.errors import ConfigError as ConfigError
    from rtseg.errors import DecodeError as DecodeError
    from rtseg.errors import EngineError as EngineError
    from rtseg.errors import InferenceError as InferenceError
    from rtseg.errors import RtsegError as RtsegError
    from rtseg.errors import SinkError as SinkError
    from rtseg.errors import SourceError as SourceError
    from rtseg.errors import StageError as StageError
    from rtseg.errors import TrainingError as TrainingError
    from rtseg.models.bundle import list_bundles as list_bundles
    from rtseg.pipeline.pipeline import Pipeline as Pipeline
    from rtseg.pipeline.report import Progress as Progress
    from rtseg.segmenter import Segmenter as Segmenter
    from rtseg.segmenter import load as load
    from rtseg.sinks import open_sink as open_sink
    from rtseg.sources import open_source as open_source
    from rtseg.stats import Stats as Stats
    from rtseg.types import Frame as Frame
    from rtseg.types import Segmentation as Segmentation
    from rtseg.types import Yuv420 as Yuv420

_HOMES = {
    "BackendUnavailable": "rtseg.errors",
    "ConfigError": "rtseg.errors",
    "DecodeError": "rtseg.errors",
    "EngineError": "rtseg.errors",
    "Frame": "rtseg.types",
    "InferenceError": "rtseg.errors",
    "Pipeline": "rtseg.pipeline.pipeline",
    "Progress": "rtseg.pipeline.report",
    "RtsegError": "rtseg.errors",
    "Segmentation": "rtseg.types",
    "Segmenter": "rtseg.segmenter",
    "SinkError": "rtseg.errors",
    "SourceError": "rtseg.errors",
    "StageError": "rtseg.errors",
    "Stats": "rtseg.stats",
    "TrainingError": "rtseg.errors",
    "Yuv420": "rtseg.types",
    "list_bundles": "rtseg.models.bundle",
    "load": "rtseg.segmenter",
    "open_sink": "rtseg.sinks",
    "open_source": "rtseg.sources",
    "run": "rtseg.api",
    "stream": "rtseg.api",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Load a public name at first use."""
    if name == "__version__":
        from rtseg.stats import package_version

        return package_version("rtseg") or "0+unknown"
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rtseg' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
