"""The launcher of the fused compositor: weight maps and layers -> the picture, in one pass.

What is drawn is a `Program`: a list of operations with their channels of the class maps, colours and tables. See
Note [Effects as a program].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from rtseg.kernels import launch, tables
from rtseg.kernels.device import composite as device_code
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.resample import Resizer, linear_table
from rtseg.types import UInt8Array

_USUAL_TILE_WH: Final[tuple[int, int]] = (128, 4)
_NO_COLORS: Final[int] = -1

Values = tuple[int, int, int]
"""One byte a plane."""


class Program:
    """What to draw, in order. Channels are those of the class maps; a weight of 255 is all layer, of 0 all frame."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        """Six whole numbers an operation."""
        self.numbers: list[tuple[int, int, int, int]] = []
        """Bytes of a colour, and the lift of bold lines."""
        self.line_tables: list[UInt8Array] = []
        """The opacity of a line by the closeness of its border, uint8 [256], one for each row of `numbers`."""

    def tint(self, channel: int) -> None:
        """Draw colours: the weight is in `channel`, weight times colour in the three behind it."""
        self._add(device_code.TINT, channel)

    def fill(self, channel: int, values: Values, *, first_plane: int = 0) -> None:
        """Draw one colour; with `first_plane=1` on U and V alone."""
        self._add(device_code.FILL, channel, self._row(values), first_plane)

    def grey(self, channel: int) -> None:
        """Draw the brightness of an RGB picture."""
        self._add(device_code.GREY, channel)

    def layer(self, channel: int, index: int) -> None:
        """Draw a layer of the frame's size."""
        self._add(device_code.LAYER, channel, 0, index)

    def coarse(self, channel: int) -> None:
        """Draw the layer on the coarse grid."""
        self._add(device_code.COARSE, channel)

    def line(
        self,
        channel: int,
        bits: int,
        table: UInt8Array,
        *,
        bold_lift: int | None = None,
        color: Values | None = None,
        color_channel: int = _NO_COLORS,
    ) -> None:
        """Draw lines from bit planes in `bits` channels, then a bold one where it has a lift.

        They have one colour, or that of the three class maps from `color_channel` on.
        """
        row = self._row(color or (0, 0, 0), bold_lift or 0, table)
        self._add(device_code.LINE, channel, row, bits, int(bold_lift is not None), color_channel)

    def panel(self, index: int) -> None:
        """Draw a panel; see `Panels`."""
        self._add(device_code.PANEL, index)

    def _row(self, values: Values, lift: int = 0, table: UInt8Array | None = None) -> int:
        self.numbers.append((*values, lift))
        self.line_tables.append(np.zeros(256, np.uint8) if table is None else table)
        return len(self.numbers) - 1

    def _add(self, code: Any, *operands: int) -> None:
        fields = [int(getattr(code, "value", code)), *operands]
        self.codes += fields + [0] * (int(device_code.FIELDS.value) - len(fields))

    @property
    def draws_coarse(self) -> bool:
        """True where an operation draws the layer on the coarse grid."""
        return int(device_code.COARSE.value) in self.codes[:: int(device_code.FIELDS.value)]


class Panels:
    """Small pictures with an opacity, drawn over the frame wherever their boxes are.

    Pixels and boxes are changed between frames, by copies into the same buffers, so that a captured graph draws the
    new ones.
    """

    def __init__(self, most_wh: Sequence[tuple[int, int]], *, batch: int, device: torch.device) -> None:
        """Reserve a panel for each pair of largest width and height; all are empty."""
        self.most_wh = tuple(most_wh)
        areas = [width * height for width, height in most_wh]
        self._starts = [6 * sum(areas[:index]) for index in range(len(areas) + 1)]
        pinned = device.type == "cuda"
        self._staged_pixels = torch.zeros((batch, self._starts[-1]), dtype=torch.uint8, pin_memory=pinned)
        self._staged_facts = torch.zeros((batch, len(areas), 8), dtype=torch.int32, pin_memory=pinned)
        for index, (width, height) in enumerate(most_wh):
            self._staged_facts[:, index, 4:7] = torch.tensor([self._starts[index], width, width * height])
        self._pixels = self._staged_pixels.to(device, copy=True)
        self._facts = self._staged_facts.to(device, copy=True)

    def put(
        self, index: int, place: tuple[int, int], planes: Sequence[tuple[UInt8Array, UInt8Array]], *, picture: int = 0
    ) -> None:
        """Show a panel with its left top corner at an even place, in pixels of the frame.

        `planes` are 255 - opacity and opacity times colour of each plane of the frame's format, uint8 [h, w]. One that
        is larger than reserved is not shown.
        Sync: copies on torch's current stream; that must have passed them before the next change of the same panel.
        """
        height, width = planes[0][0].shape
        most_width, most_height = self.most_wh[index]
        if width > most_width or height > most_height:
            self.clear(index, picture=picture)
            return
        part = slice(self._starts[index], self._starts[index + 1])
        staged = self._staged_pixels[picture, part].view(6, most_height, most_width).numpy()
        for plane, (keep, amount) in enumerate(planes):
            rows, columns = keep.shape
            staged[2 * plane, :rows, :columns] = keep
            staged[2 * plane + 1, :rows, :columns] = amount
        self._pixels[picture, part].copy_(self._staged_pixels[picture, part], non_blocking=True)
        self._box(index, (*place, width, height), picture)

    def clear(self, index: int, *, picture: int = 0) -> None:
        """Show no panel."""
        self._box(index, (0, 0, 0, 0), picture)

    def arguments(self) -> tuple[Any, ...]:
        """Return the panels as the kernel takes them."""
        return self._pixels, self._facts, len(self.most_wh), int(self._pixels.shape[1])

    def _box(self, index: int, box: tuple[int, int, int, int], picture: int) -> None:
        self._staged_facts[picture, index, :4].numpy()[:] = box
        self._facts[picture].copy_(self._staged_facts[picture], non_blocking=True)


class Composite:
    """Draws one program on frames of one format, from class maps of one size.

    Threading: one thread and stream at a time.
    Sync: one kernel on torch's current stream, and one for each kind of plane that is less than half as large as the
    mask; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        program: Program,
        frame: PictureFormat,
        mask_wh: tuple[int, int],
        channels: int,
        *,
        batch: int = 1,
        cells_wh: tuple[int, int] = (1, 1),
        layers: torch.Tensor | None = None,
        panels: Panels | None = None,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload colours and tables.

        Args:
            program: what to draw.
            frame: the format of frames and results.
            mask_wh: width and height of the class maps.
            channels: how many there are.
            batch: pictures a call.
            cells_wh: width and height of the layer on the coarse grid, where one is drawn.
            layers: layers of the frame's size, uint8 [L, byte_count]: planes one behind the other, not interleaved.
            panels: what the program's panels are.
            device: where everything is.
        """
        self.device = launch.check_device(device)
        self.frame, self.batch, self._program = frame, batch, program
        self._whole = _MapPlaces(mask_wh, frame.plane_size_wh(0), channels, batch, self.device)
        self._half = (
            _MapPlaces(mask_wh, frame.plane_size_wh(1), channels, batch, self.device) if frame.is_yuv else self._whole
        )
        self._layers = layers if layers is not None else torch.zeros((1, 1), dtype=torch.uint8, device=self.device)
        self._panels = panels or Panels([(2, 2)], batch=batch, device=self.device)
        self._tables = (
            launch.uploaded(np.array(program.numbers or [(0, 0, 0, 0)], np.int32), self.device),
            launch.uploaded(np.stack(program.line_tables or [np.zeros(256, np.uint8)]), self.device),
        )
        whole, half = (linear_table(cells_wh, frame.plane_size_wh(index), self.device) for index in (0, 1))
        self._coarse_tables = (whole[0], whole[2], half[0], half[2])
        self._no_coarse = torch.zeros((batch, 3, 1, 1), dtype=torch.uint8, device=self.device)
        self._cells_wh = cells_wh

    def __call__(
        self, frame: DevicePicture, maps: torch.Tensor, out: DevicePicture, *, coarse: torch.Tensor | None = None
    ) -> None:
        """Draw on frames.

        Args:
            frame: N frames of the format; may be `out`.
            maps: class maps, uint8 [N, C, h, w], contiguous.
            out: where the results go: N pictures of the format.
            coarse: the layer on the coarse grid, uint8 [N, 3, h, w], contiguous, where the program draws one.

        Raises:
            ConfigError: pictures of another format.
        """
        frame.check(self.frame, self.batch, what="composite, frame")
        out.check(self.frame, self.batch, what="composite, out")
        whole, half = self._whole(maps), self._half(maps) if self.frame.is_yuv else None
        tile_wh, tiles = self._tiles()
        programs = tiles[0] * tiles[1] + (tiles[2] * tiles[3] if self.frame.is_yuv else 0)
        pixels = self.frame.size_wh[0] * self.frame.size_wh[1]
        device_code.composite[(programs, 1, self.batch)](
            _planes(frame),
            _planes(out),
            whole,
            half or whole,
            (self._layers, int(self._layers.shape[1]), pixels),
            self._coarse(self._no_coarse if coarse is None else coarse),
            self._panels.arguments(),
            self._tables,
            self.frame.size_wh,
            tiles,
            YUV=self.frame.is_yuv,
            PROGRAM=tuple(self._program.codes),
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )

    def _tiles(self) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Return the sides of a tile, and how many cover the first plane and the others, across and down."""
        tile_wh = launch.tile(self.frame.size_wh, usual_wh=_USUAL_TILE_WH)
        whole = launch.grid(self.frame.plane_size_wh(0), tile_wh, 1)
        half = launch.grid(self.frame.plane_size_wh(1), tile_wh, 1)
        return tile_wh, (whole[0], whole[1], half[0], half[1])

    def _coarse(self, coarse: torch.Tensor) -> tuple[Any, ...]:
        return (coarse, coarse.stride(1), coarse.stride(2), coarse.stride(0), *self._coarse_tables)


class _MapPlaces:
    """Where the class maps are sampled for one kind of plane: at their own size, or averaged by area before."""

    def __init__(
        self, mask_wh: tuple[int, int], plane_wh: tuple[int, int], channels: int, batch: int, device: torch.device
    ) -> None:
        self._resizer: Resizer | None = None
        self._small: torch.Tensor | None = None
        if tables.is_area(mask_wh, plane_wh):
            self._resizer = Resizer(mask_wh, plane_wh, by_area=True, device=device)
            shape = (batch, channels, plane_wh[1], plane_wh[0])
            self._small = torch.empty(shape, dtype=torch.uint8, device=device)
            mask_wh = plane_wh
        table = linear_table(mask_wh, plane_wh, device)
        self._tables = (table[0], table[2])

    def __call__(self, maps: torch.Tensor) -> tuple[Any, ...]:
        """Return the maps as the kernel takes them."""
        if self._resizer is not None and self._small is not None:
            self._resizer(maps.flatten(0, 1), self._small.flatten(0, 1))
            maps = self._small
        return (maps, maps.stride(1), maps.stride(2), *self._tables, maps.stride(0))


def _planes(picture: DevicePicture) -> tuple[Any, ...]:
    """Return planes and strides as the kernel takes them."""
    first, second, third = picture.planes[:3]
    return (first, second, third, *first.stride(), *second.stride())
