"""Pictures beside their truth and what the network says, so that a run can be judged by looking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rtseg.datasets import Sample, Taxonomy
from rtseg.errors import TrainingError
from rtseg.geometry import resize_labels, resize_linear
from rtseg.models.checks import Color
from rtseg.train.validate import Model
from rtseg.types import FloatArray, UInt8Array

CELL_WIDTH_PX: Final = 320
GAP_PX: Final = 4
MATTE_BACKDROP: Final[Color] = (20, 160, 90)
UNKNOWN_COLOR: Final[Color] = (0, 0, 0)


def draw_overlays(
    path: Path, model: Model, samples: Sequence[Sample], taxonomy: Taxonomy, palette: Sequence[Color]
) -> None:
    """Write a PNG with a row a sample: the picture, its truth, the prediction.

    Args:
        path: of the PNG.
        model: asked for each picture.
        samples: labelled pictures.
        taxonomy: of their labels.
        palette: colour of each class of the model.

    Raises:
        TrainingError: the file cannot be written.
    """
    rows = [_row(model, sample, taxonomy, palette) for sample in samples]
    sheet = np.concatenate(rows, axis=0)[:-GAP_PX]
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise TrainingError(f"overlays: got no file at {path}; expected a folder that can be written. Check it.")


def _row(model: Model, sample: Sample, taxonomy: Taxonomy, palette: Sequence[Color]) -> UInt8Array:
    """Return one row uint8 [h + gap, w, 3]."""
    height, width = sample.rgb.shape[:2]
    size_wh = (CELL_WIDTH_PX, max(1, round(height * CELL_WIDTH_PX / width)))
    rgb, result = resize_linear(sample.rgb, size_wh), model(sample.rgb)
    if sample.alpha is not None and result.alpha is not None:
        cells = [_over_backdrop(rgb, resize_linear(alpha, size_wh)) for alpha in (sample.alpha, result.alpha)]
    else:
        true_colors = truth_palette(taxonomy, model.classes, palette)
        cells = [
            _tinted(rgb, resize_labels(sample.labels, size_wh), true_colors),
            _tinted(rgb, resize_labels(result.labels, size_wh), [*palette]),
        ]
    gap = np.full((size_wh[1], GAP_PX, 3), 255, np.uint8)
    row = np.concatenate([rgb, gap, cells[0], gap, cells[1]], axis=1)
    return np.concatenate([row, np.full((GAP_PX, row.shape[1], 3), 255, np.uint8)], axis=0)


def truth_palette(taxonomy: Taxonomy, classes: Sequence[str], palette: Sequence[Color]) -> list[Color]:
    """Return the colour of each class of a taxonomy: that of the first class of the model that it takes in."""
    return [palette[members[0]] if members else UNKNOWN_COLOR for members in taxonomy.members(classes)]


def _tinted(rgb: UInt8Array, labels: UInt8Array, colors: Sequence[Color]) -> UInt8Array:
    """Return a picture tinted by class, uint8 [H, W, 3]; what is ignored stays grey."""
    grey = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    table = np.zeros((256, 3), np.float32)
    table[: len(colors)] = colors
    weight = np.where(labels < len(colors), np.float32(0.62), np.float32(0))[..., None]
    return (grey + (table[labels] - grey) * weight).astype(np.uint8)


def _over_backdrop(rgb: UInt8Array, alpha: FloatArray) -> UInt8Array:
    backdrop = np.array(MATTE_BACKDROP, np.float32)
    return (backdrop + (rgb - backdrop) * alpha[..., None]).astype(np.uint8)
