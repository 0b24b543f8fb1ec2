"""Calibration: the pictures from which quantization learns how large each activation gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import numpy as np

from rtseg.errors import ConfigError
from rtseg.models.checks import Task
from rtseg.network import NetworkSpec
from rtseg.preprocess import to_network
from rtseg.sources import Source, open_source
from rtseg.types import FloatArray, UInt8Array

ItemT = TypeVar("ItemT")
DEFAULT_FRAMES: Final = 64
"""Frames to calibrate on; the ranges of activations hardly change with more."""
SCENES: Final[dict[Task, str]] = {"semantic": "synthetic:street", "matte": "synthetic:desk"}
"""The built-in scene for each task."""
FRAMES_A_SCENE: Final = 8
"""Frames of the built-in scene before the next seed: eight of one street look much alike."""
_FIRST_SEED: Final = 101
_SCENE_HZ: Final = 1
"""Built-in frames are taken that often, so that they differ."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The pictures and where they come from."""

    source: str
    """As it was asked for."""
    pictures: tuple[UInt8Array, ...]
    """rgb uint8 [h, w, 3] at the network's size."""
    built_in: bool = False
    """True for a built-in scene."""

    @property
    def note(self) -> str | None:
        """What is to be said of it, if anything."""
        if not self.built_in:
            return None
        return (
            f"Calibrated on {self.source}, a built-in scene; real frames of your own footage serve it better "
            "(--calibration FOLDER)."
        )


def open_calibration(spec: str | None, network: NetworkSpec, task: Task, count: int = DEFAULT_FRAMES) -> Calibration:
    """Return calibration pictures, spread evenly over a source.

    Args:
        spec: anything `open_source` takes; None, or a bare "synthetic:street": several of the built-in scenes.
        network: gives the size.
        task: chooses the built-in scene.
        count: how many; fewer where the source has fewer.

    Raises:
        ConfigError: the count is below 1, or the source never ends.
        SourceError: the source cannot be opened or has no frame.
    """
    if count < 1:
        raise ConfigError(f"calibration: got {count} frames; expected at least 1. Leave it out for {DEFAULT_FRAMES}.")
    name = SCENES[task] if spec is None else spec
    if name in SCENES.values():
        return Calibration(name, tuple(_built_in(name, network.size_wh, count)), built_in=True)
    with open_source(name) as source:
        check_ends(source, "calibration")
        pictures = (to_network(frame.picture, network.size_wh).rgb for frame in source.frames())
        chosen = evenly(pictures, count)
    return Calibration(source.info.source_id, tuple(np.array(picture) for picture in chosen))


def check_ends(source: Source, what: str) -> None:
    """Raise ConfigError for a camera or an endless scene, over which nothing can be spread evenly."""
    info = source.info
    if info.live or (info.kind == "synthetic" and info.frame_count is None):
        raise ConfigError(
            f"{what}: got {info.source_id}, which never ends; expected a folder, a video or a scene with an end. "
            "Record some of it first."
        )


def _built_in(name: str, size_wh: tuple[int, int], count: int) -> Iterator[UInt8Array]:
    """Yield frames of one scene after the other, each with another seed."""
    for index in range(0, count, FRAMES_A_SCENE):
        frame_count = min(FRAMES_A_SCENE, count - index)
        seed = _FIRST_SEED + index // FRAMES_A_SCENE
        with open_source(name, frame_count=frame_count, fps=_SCENE_HZ, seed=seed) as source:
            yield from (to_network(frame.picture, size_wh).rgb for frame in source.frames())


def evenly(pictures: Iterable[ItemT], count: int) -> list[ItemT]:
    """Return at most `count` things spread evenly over a sequence whose length nobody knows before its end.

    Every step-th of them is kept; each time twice as many as wanted are held, every other one goes and the step
    doubles. So memory is bounded, and headers, which may lie about the length, are not asked.
    """
    kept: list[ItemT] = []
    step = 1
    for index, picture in enumerate(pictures):
        if index % step:
            continue
        kept.append(picture)
        if len(kept) == 2 * count:
            kept, step = kept[::2], 2 * step
    return [kept[index * len(kept) // count] for index in range(count)] if len(kept) > count else kept


def network_input(picture: UInt8Array, network: NetworkSpec) -> FloatArray:
    """Return what the bare ONNX file takes for an rgb uint8 [h, w, 3] picture, float32 [1, 3, h, w] or [1, h, w, 3].

    It is what backends fold into their graphs: channel order, (byte * scale - mean) / std, layout.
    """
    ordered = picture[..., ::-1] if network.channel_order == "BGR" else picture
    mean, std = np.array(network.mean, np.float32), np.array(network.std, np.float32)
    normalised = (ordered.astype(np.float32) * np.float32(network.scale) - mean) / std
    planes = normalised.transpose(2, 0, 1) if network.layout == "NCHW" else normalised
    return np.ascontiguousarray(planes[None], np.float32)


def some(pictures: Sequence[UInt8Array], count: int) -> list[UInt8Array]:
    """Return at most `count` of the pictures, spread evenly."""
    return evenly(islice(pictures, len(pictures)), count)
