"""Launchers of the masked, normalised blur: only what counts is blurred, and divided by how much of it there is.

Equal to the blur of `rtseg.render.background` within one level: the same cells, the same box averages, summed in
another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
import triton

from rtseg.kernels import launch, tables
from rtseg.kernels.device import blur as device_code
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.resample import Resizer, Shrinker

_FLAT_TILE: Final[int] = 1024
_INTERPRETED_ROWS: Final[int] = 64


@dataclass(frozen=True)
class BlurSpec:
    """A blur on the coarse grid. `rtseg.render.background` says what the numbers mean and why."""

    cells_wh: tuple[int, int]
    """Width and height of the grid."""
    sides: tuple[int, ...]
    """Odd sides, in cells, of the box averages in a row."""
    wide_side: int | None = None
    """Odd side of the wide box that fills in where nothing is near; None: nothing does."""
    wide_share: float = 0.0
    """How much the wide box counts."""
    mean_share: float = 0.0
    """How much the mean of everything counts."""
    least: float = 0.0
    """Without a wide box: the least that is divided by, so that the blur fades to black."""


class MaskedBlur:
    """Blurs planes of cells by their weights. Sync: two kernels; see Note [Nothing allocated per frame]."""

    def __init__(self, spec: BlurSpec, *, batch: int, device: torch.device) -> None:
        """Upload the tables and reserve what lies between the two directions."""
        self._spec, self._batch = spec, batch
        width, height = spec.cells_wh
        wide = () if spec.wide_side is None else (spec.wide_side,)
        self._near = [tables.box_taps(length, spec.sides) for length in (width, height)]
        self._wide = [tables.box_taps(length, wide) for length in (width, height)]
        self._counts = tuple(part[axis][1].shape[1] for axis in (0, 1) for part in (self._near, self._wide))
        self._tables = [
            tuple(launch.uploaded(array, device) for array in part[axis])
            for axis in (0, 1)
            for part in (self._near, self._wide)
        ]
        self._kinds = 1 if spec.wide_side is None else 2
        self._rows = torch.empty((batch, self._kinds, 4, height, width), dtype=torch.float32, device=device)
        self._row_sums = torch.empty((batch, 4, height), dtype=torch.float32, device=device)

    def __call__(self, cells: torch.Tensor, weights: torch.Tensor, out: torch.Tensor) -> None:
        """Fill uint8 [N, 3, h, w] from planes uint8 [N, 3, h, w] and weights float32 [N, h, w], all contiguous."""
        width, height = self._spec.cells_wh
        spec = self._spec
        shares = (spec.wide_share, spec.mean_share) if self._kinds == 2 else (spec.least, 0.0)
        all_rows = int(triton.next_power_of_2(height))
        rows = min(all_rows, _INTERPRETED_ROWS if launch.INTERPRETED else 1)
        tile: dict[str, Any] = {"ROWS": rows, "TILE": int(triton.next_power_of_2(width)), **launch.OPTIONS}
        device_code.across[(-(-height // rows), 4 * self._batch)](
            cells,
            weights,
            self._tables[0],
            self._tables[1],
            self._row_sums,
            self._rows,
            (width, height),
            self._counts[:2],
            WIDE=self._kinds,
            **tile,
        )
        device_code.down[(-(-height // rows), self._batch)](
            cells,
            self._rows,
            self._row_sums,
            self._tables[2],
            self._tables[3],
            out,
            (width, height),
            self._counts,
            shares,
            WIDE=self._kinds,
            ALL_ROWS=all_rows,
            **tile,
        )


class BackgroundBlur:
    """Makes the blurred background of frames, on the coarse grid.

    Threading: one thread and stream at a time.
    Sync: about eight kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        frame: PictureFormat,
        mask_wh: tuple[int, int],
        spec: BlurSpec,
        *,
        touch_gain: float,
        batch: int = 1,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables and reserve what lies between.

        Args:
            frame: the format of every frame.
            mask_wh: width and height of the class maps.
            spec: grid and blur.
            touch_gain: how fast a cell stops counting as it touches the subject.
            batch: pictures a call.
            device: where everything is.
        """
        self.device = launch.check_device(device)
        self.cells_wh = spec.cells_wh
        self._batch, self._touch_gain = batch, touch_gain
        width, height = spec.cells_wh
        self._shrinkers = [
            Shrinker(frame.plane_size_wh(index), spec.cells_wh, batch, device=self.device) for index in range(3)
        ]
        self._subject_resizer = _subject_resizer(mask_wh, spec.cells_wh, batch, self.device)
        self._subject = torch.empty((batch, height, width), dtype=torch.uint8, device=self.device)
        self._weights = torch.empty((batch, height, width), dtype=torch.float32, device=self.device)
        self._cells = self.empty_layer()
        self._blur = MaskedBlur(spec, batch=batch, device=self.device)

    def empty_layer(self) -> torch.Tensor:
        """Return a new layer, uint8 [N, 3, h, w], with whatever was in memory."""
        width, height = self.cells_wh
        return torch.empty((self._batch, 3, height, width), dtype=torch.uint8, device=self.device)

    def __call__(self, frame: DevicePicture, subject: torch.Tensor, out: torch.Tensor) -> None:
        """Fill the layer uint8 [N, 3, h, w].

        Args:
            frame: N frames, or what is drawn on them so far.
            subject: the class map that says where the subject is, uint8 [N, h, w], any strides.
            out: from `empty_layer`.
        """
        for index, shrinker in enumerate(self._shrinkers):
            shrinker(frame.planes[index], self._cells[:, index])
        self._subject_resizer(subject, self._subject)
        area = self.cells_wh[0] * self.cells_wh[1]
        device_code.cell_weights[(-(-area // _FLAT_TILE), self._batch)](
            self._subject,
            self._weights,
            self.cells_wh,
            self._touch_gain / 255,
            TILE=_FLAT_TILE,
            **launch.OPTIONS,
        )
        self._blur(self._cells, self._weights, out)


def _subject_resizer(
    mask_wh: tuple[int, int], cells_wh: tuple[int, int], batch: int, device: torch.device
) -> Shrinker | Resizer:
    """Return what brings a mask to the cells: halved where it is many times as large, as on the CPU."""
    if all(side >= 4 * cells for side, cells in zip(mask_wh, cells_wh, strict=True)):
        return Shrinker(mask_wh, cells_wh, batch, device=device)
    return Resizer(mask_wh, cells_wh, by_area=tables.is_area(mask_wh, cells_wh), device=device)


def power_weights(alpha: torch.Tensor, out: torch.Tensor, *, power: int, inverted: bool) -> None:
    """Fill float32 [N, h, w] with the share 0..1 of alpha uint8 [N, h, w], or of the rest, to a power; contiguous."""
    count = int(alpha.numel())
    options: dict[str, Any] = {"INVERTED": inverted, "POWER": power, "TILE": _FLAT_TILE, **launch.OPTIONS}
    device_code.power_weights[(-(-count // _FLAT_TILE),)](alpha, out, count, **options)
