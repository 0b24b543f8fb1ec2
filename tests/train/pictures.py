"""Small labelled folders and sets, made by the tests themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtseg.train.pictures import LabelledPicture, SetSettings
from rtseg.train.targets import TargetTable


def write_set(folder: Path, pictures: dict[str, tuple[np.ndarray, np.ndarray | None]]) -> Path:
    """Write images/ and, where there are some, labels/; returns the folder."""
    for name, (rgb, labels) in pictures.items():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb[..., ::-1])
        if labels is not None:
            (folder / "labels").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "labels" / f"{name}.png"), labels)
    return folder


def blocks(seed: int, size_wh: tuple[int, int], ids: int, block_px: int = 8) -> np.ndarray:
    """Return random blocks of label ids, uint8 [H, W]."""
    width, height = size_wh
    small = np.random.default_rng(seed).integers(0, ids, (height // block_px, width // block_px))
    return small.astype(np.uint8).repeat(block_px, 0).repeat(block_px, 1)


def street(size_wh: tuple[int, int] = (128, 64), sky: int = 10, road: int = 0, car: int = 13) -> LabelledPicture:
    """Return a sky over a road with a car on it, in Cityscapes ids."""
    width, height = size_wh
    rgb = np.full((height, width, 3), (150, 190, 240), np.uint8)
    target = np.full((height, width), sky, np.uint8)
    rgb[height // 2 :], target[height // 2 :] = (110, 110, 110), road
    box = (slice(height // 2 - 8, height // 2 + 10), slice(width // 2, width // 2 + 20))
    rgb[box], target[box] = (180, 30, 30), car
    return LabelledPicture(rgb, target)


def person(
    size_wh: tuple[int, int] = (96, 128), *, cut: bool = False, rgb: tuple[int, int, int] = (200, 120, 60)
) -> LabelledPicture:
    """Return an upright box of one colour on green, which touches the lower border where it is `cut`."""
    width, height = size_wh
    picture = np.full((height, width, 3), (20, 220, 20), np.uint8)
    matte = np.zeros((height, width), np.uint8)
    box = (slice(height // 4, height if cut else 3 * height // 4), slice(width // 3, 2 * width // 3))
    picture[box], matte[box] = rgb, 255
    return LabelledPicture(picture, matte)


class ListedSet:
    """A set of pictures in memory."""

    def __init__(
        self, settings: SetSettings, table: TargetTable | None, pictures: list[LabelledPicture], pseudo: bool = False
    ) -> None:
        self.settings, self.table, self.pseudo, self._pictures = settings, table, pseudo, pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, index: int) -> LabelledPicture:
        return self._pictures[index]
