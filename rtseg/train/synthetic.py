"""Frames of the built-in scenes as a training set, rendered once and kept on disk.

Note [Scenes that are never trained on]
    Scores on the built-in scenes are taken from seeds 0 to 3 within their first five seconds, and from even seeds above
    3. Training therefore takes seeds 0 to 3 from the fifth second on, and odd seeds from 1001.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.cityscapes import CITYSCAPES
from rtseg.datasets import Taxonomy
from rtseg.errors import ConfigError
from rtseg.scenes import DeskScene, StreetScene
from rtseg.train.pictures import SYNTHETIC, LabelledPicture, SetSettings
from rtseg.train.targets import TargetTable
from rtseg.types import UInt8Array

KINDS: Final = ("street", "desk")
FRAMES_A_SHARD: Final = 6
"""Frames of one scene, in one file: setting up a scene costs more than a frame of it."""
FIRST_SECOND: Final = 5.0
LAST_SECOND: Final = 60.0
SHARED_SEEDS: Final = 4
"""Seeds 0 to 3 are scored as well; every fourth shard is of one of them."""
FIRST_SEED: Final = 1001
VERSION: Final = 1
"""Of the plan and the files; raised when the scenes change so much that old frames would mislead."""


class SyntheticSet:
    """Rendered frames, mapped from disk. Threading: several threads at once."""

    pseudo = False
    """The truth is known everywhere."""

    def __init__(
        self,
        settings: SetSettings,
        table: TargetTable | None,
        taxonomy: Taxonomy | None = None,
        cache_folder: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Render what is missing.

        Args:
            settings: its table in the recipe.
            table: the targets; None: mattes.
            taxonomy: says what the street's classes are among the network's, where the names differ.
            cache_folder: where frames are kept; None: the user's cache.
            progress: told (frames done, frames in all).

        Raises:
            ConfigError: there is no such scene, or it does not fit the task.
        """
        self.settings, self.table = settings, table
        self._kind = settings.path.removeprefix(SYNTHETIC)
        if self._kind not in KINDS or (self._kind == "desk") != (table is None):
            raise ConfigError(
                f"set {settings.name}: got {settings.path}; expected {SYNTHETIC}street for classes, {SYNTHETIC}desk "
                "for mattes. Choose the other."
            )
        self._lookup = None if table is None else table.of_names(tuple(CITYSCAPES), taxonomy)
        self.folder = (cache_folder or _user_cache()) / self._folder_name()
        """Where the frames are."""
        self._render_missing(progress)
        self._shards = [np.load(self._shard_path(index), mmap_mode="r") for index in range(self._shard_count)]

    def __len__(self) -> int:
        return self.settings.frames

    def picture(self, index: int) -> LabelledPicture:
        """Return one frame."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        frame = self._shards[index // FRAMES_A_SHARD][index % FRAMES_A_SHARD]
        target = np.ascontiguousarray(frame[..., 3])
        if self._lookup is not None:
            target = np.asarray(cv2.LUT(target, self._lookup), np.uint8)
        return LabelledPicture(np.ascontiguousarray(frame[..., :3]), target)

    @property
    def _shard_count(self) -> int:
        return -(-self.settings.frames // FRAMES_A_SHARD)

    def _folder_name(self) -> str:
        """Return a name that is another one for frames that would be others; more frames of a kind share a folder."""
        facts = [VERSION, self._kind, *self.settings.size_wh, self.settings.seed]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
        return f"{self._kind}-{self.settings.size_wh[0]}x{self.settings.size_wh[1]}-{digest}"

    def _shard_path(self, index: int) -> Path:
        return self.folder / f"{index:05d}.npy"

    def _render_missing(self, progress: Callable[[int, int], None] | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for index in range(self._shard_count):
            if not self._shard_path(index).is_file():
                _write(self._shard_path(index), self._rendered(index))
            if progress is not None:
                progress(min((index + 1) * FRAMES_A_SHARD, len(self)), len(self))

    def _rendered(self, index: int) -> UInt8Array:
        """Return the frames of a shard with their targets, uint8 [F, H, W, 4]."""
        seed, seconds = training_moments(index, self.settings.seed)
        frames = np.empty((FRAMES_A_SHARD, self.settings.size_wh[1], self.settings.size_wh[0], 4), np.uint8)
        if self._kind == "street":
            street = StreetScene(size_wh=self.settings.size_wh, seed=seed)
            for frame, second in zip(frames, seconds, strict=True):
                frame[..., :3], frame[..., 3] = street.render_with_labels(second)
        else:
            desk = DeskScene(size_wh=self.settings.size_wh, seed=seed)
            for frame, second in zip(frames, seconds, strict=True):
                rgb, alpha = desk.render_with_alpha(second)
                frame[..., :3], frame[..., 3] = rgb, np.rint(alpha * 255)
        return frames


def training_moments(shard: int, seed: int) -> tuple[int, tuple[float, ...]]:
    """Return the scene's seed and the times in seconds of a shard; see Note [Scenes that are never trained on]."""
    rng = np.random.default_rng([seed, shard])
    fresh = FIRST_SEED + 2 * (shard + 5_000 * seed)
    scene = int(rng.integers(0, SHARED_SEEDS)) if shard % 4 == 0 else fresh
    return scene, tuple(float(second) for second in rng.uniform(FIRST_SECOND, LAST_SECOND, FRAMES_A_SHARD))


def _write(path: Path, frames: UInt8Array) -> None:
    """Write a file that is there wholly or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.save(file, frames)
    partial.replace(path)


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("rtseg") / "scenes"
