"""Launchers that bring planes of bytes to other sizes, with the bytes of `rtseg.geometry` and of repeated halving."""

from __future__ import annotations

from typing import Any, Final

import torch

from rtseg.kernels import launch, tables
from rtseg.kernels.device import resample as device_code

_USUAL_TILE_WH: Final[tuple[int, int]] = (64, 4)
_MOST_LEVELS: Final[int] = 3


def linear_table(before_wh: tuple[int, int], after_wh: tuple[int, int], device: torch.device) -> tuple[Any, ...]:
    """Return the tables of a bilinear resize as kernels take them: columns, their count, rows, their count."""
    columns = tables.linear_taps(before_wh[0], after_wh[0], rows=False)
    rows = tables.linear_taps(before_wh[1], after_wh[1], rows=True)
    return launch.uploaded(columns, device), after_wh[0], launch.uploaded(rows, device), after_wh[1]


def area_table(before_wh: tuple[int, int], after_wh: tuple[int, int], device: torch.device) -> tuple[Any, ...]:
    """Return the tables of a resize by area as kernels take them.

    Columns and rows each have first index and weights; then follow the counts of weights and the lengths before.
    """
    columns, rows = (tables.area_taps(*sides) for sides in zip(before_wh, after_wh, strict=True))
    arrays = [launch.uploaded(table, device) for table in (*columns, *rows)]
    return (*arrays, columns[1].shape[1], rows[1].shape[1], *before_wh)


class Resizer:
    """Resizes planes of one size to another, bilinear or by area.

    Sync: one kernel a call on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self, before_wh: tuple[int, int], after_wh: tuple[int, int], *, by_area: bool, device: torch.device
    ) -> None:
        """Upload the tables."""
        make = area_table if by_area else linear_table
        self._by_area, self._after_wh = by_area, after_wh
        self._table = make(before_wh, after_wh, device)

    def __call__(self, planes: torch.Tensor, out: torch.Tensor) -> None:
        """Fill planes uint8 [N, h, w] from planes uint8 [N, H, W], both with any strides."""
        tile_wh = launch.tile(self._after_wh, usual_wh=_USUAL_TILE_WH)
        device_code.resized[launch.grid(self._after_wh, tile_wh, int(planes.shape[0]))](
            planes,
            planes.stride(),
            out,
            out.stride(),
            self._table,
            self._after_wh,
            AREA=self._by_area,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )


class Shrinker:
    """Averages planes over the cells of a coarse grid: halved as long as that fits, then by area, as on the CPU.

    Sync: one kernel a step on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self, plane_wh: tuple[int, int], cells_wh: tuple[int, int], batch: int, *, device: torch.device
    ) -> None:
        """Reserve what lies between the steps."""
        self._steps: list[int] = []
        self._between: list[torch.Tensor] = []
        size_wh, levels = plane_wh, _fitting_halvings(plane_wh, cells_wh)
        while levels:
            step = min(levels, _MOST_LEVELS)
            levels -= step
            size_wh = (size_wh[0] >> step, size_wh[1] >> step)
            self._steps.append(step)
            self._between.append(torch.empty((batch, size_wh[1], size_wh[0]), dtype=torch.uint8, device=device))
        last = size_wh == cells_wh
        self._resizer = None if last else Resizer(size_wh, cells_wh, by_area=True, device=device)
        if last and self._between:
            self._between.pop()

    def __call__(self, planes: torch.Tensor, out: torch.Tensor) -> None:
        """Fill planes uint8 [N, h, w] of the cells from planes uint8 [N, H, W], both with any strides."""
        before = planes
        for index, levels in enumerate(self._steps):
            after = self._between[index] if index < len(self._between) else out
            halve(before, after, levels)
            before = after
        if self._resizer is not None:
            self._resizer(before, out)
        elif not self._steps:
            halve(before, out, 0)


def halve(planes: torch.Tensor, out: torch.Tensor, levels: int) -> None:
    """Fill planes uint8 [N, h, w] from planes 2^levels times as large; every halving rounds to bytes. 0 copies."""
    size_wh = (int(out.shape[2]), int(out.shape[1]))
    tile_wh = launch.tile(size_wh, usual_wh=_USUAL_TILE_WH)
    device_code.halved[launch.grid(size_wh, tile_wh, int(planes.shape[0]))](
        planes,
        planes.stride(),
        out,
        out.stride(),
        size_wh,
        LEVELS=levels,
        TILE_W=tile_wh[0],
        TILE_H=tile_wh[1],
        **launch.OPTIONS,
    )


def _fitting_halvings(plane_wh: tuple[int, int], cells_wh: tuple[int, int]) -> int:
    levels = 0
    while all(
        (side >> levels) % 2 == 0 and side >> levels >= 2 * cells
        for side, cells in zip(plane_wh, cells_wh, strict=True)
    ):
        levels += 1
    return levels
