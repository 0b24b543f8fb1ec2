"""Launchers for pictures in RGB: 4:2:0 planes converted, and subjects cut out with an alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch

from rtseg.errors import ConfigError
from rtseg.kernels import launch, tables
from rtseg.kernels.blur import BlurSpec, MaskedBlur, power_weights
from rtseg.kernels.device import cutout as device_code
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.resample import Resizer, Shrinker, linear_table

_USUAL_TILE_WH: Final[tuple[int, int]] = (128, 4)


class RgbConverter:
    """Turns 4:2:0 pictures into RGB, with the bytes of `rtseg.color.to_rgb`.

    Sync: one kernel on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(self, frame: PictureFormat, *, device: torch.device | str = "cuda") -> None:
        """Upload the tables.

        Raises:
            ConfigError: frames that are RGB already.
        """
        if not frame.is_yuv:
            raise ConfigError(f"RGB of a device picture: got {frame.layout}; expected nv12 or i420. Use it as it is.")
        self.device = launch.check_device(device)
        self.frame = frame
        table = linear_table(frame.plane_size_wh(1), frame.size_wh, self.device)
        self._columns, self._rows = table[0], table[2]
        self._matrix = launch.uploaded(tables.matrix_table(frame.matrix, frame.full_range, to_rgb=True), self.device)

    def __call__(self, picture: DevicePicture, out: DevicePicture) -> None:
        """Fill N pictures in RGB from N 4:2:0 pictures of the format.

        Raises:
            ConfigError: pictures of another format.
        """
        picture.check(self.frame, picture.batch, what="RGB of a device picture")
        out.check(PictureFormat(self.frame.size_wh), picture.batch, what="RGB of a device picture, out")
        tile_wh = launch.tile(self.frame.size_wh, usual_wh=_USUAL_TILE_WH)
        luma, blue, red = picture.planes
        device_code.rgb_of_planes[launch.grid(self.frame.size_wh, tile_wh, picture.batch)](
            luma,
            blue,
            red,
            luma.stride(),
            blue.stride(),
            self._columns,
            self._rows,
            self._matrix,
            out.planes[0],
            out.planes[0].stride(),
            self.frame.size_wh,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )


@dataclass(frozen=True)
class CutOutSpec:
    """How the subject's colours are carried outwards. `rtseg.render.cutout` says what the numbers mean and why."""

    cell_px: int
    """Side of a cell of the coarse grid."""
    side: int
    """Odd side of the two box averages, in cells."""
    power: int
    """How much a mixed cell counts: its share to this power."""
    sure: float
    """Least weight of the colours that fill transparent pixels."""
    tiny: float
    """Least weight of the colours that are taken out of soft ones."""


class CutOut:
    """Turns RGB pictures into RGBA, straight alpha.

    Threading: one thread and stream at a time.
    Sync: up to a dozen kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        mask_wh: tuple[int, int],
        *,
        decontaminate: CutOutSpec | None,
        batch: int = 1,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables and reserve what lies between; None leaves the colours of soft pixels as they are."""
        self.device = launch.check_device(device)
        self.size_wh, self._batch = size_wh, batch
        width, height = size_wh
        by_area = tables.is_area(mask_wh, size_wh)
        self._alpha_resizer = Resizer(mask_wh, size_wh, by_area=by_area, device=self.device)
        self._alpha = torch.empty((batch, height, width), dtype=torch.uint8, device=self.device)
        self._colors = None
        cells_wh = (1, 1)
        if decontaminate is not None:
            cells_wh = (-(-width // decontaminate.cell_px), -(-height // decontaminate.cell_px))
            self._colors = _Foreground(size_wh, cells_wh, decontaminate, batch, self.device)
        table = linear_table(cells_wh, size_wh, self.device)
        self._tables = (table[0], table[2])
        self._none = torch.zeros((1, 3, 1, 1), dtype=torch.uint8, device=self.device)

    def __call__(self, rgb: DevicePicture, subject: torch.Tensor, out: DevicePicture) -> None:
        """Fill N pictures in RGBA.

        Args:
            rgb: N pictures in RGB.
            subject: the class map that says where the subject is, uint8 [N, h, w], any strides.
            out: N pictures in RGBA, contiguous.

        Raises:
            ConfigError: pictures of another format.
        """
        rgb.check(PictureFormat(self.size_wh), self._batch, what="cut-out, frame")
        out.check(PictureFormat(self.size_wh, "rgba"), self._batch, what="cut-out, out")
        self._alpha_resizer(subject, self._alpha)
        if self._colors is None:
            colors: tuple[torch.Tensor, ...] = (self._none,) * 3
        else:
            colors = self._colors(rgb, self._alpha)
        tile_wh = launch.tile(self.size_wh, usual_wh=_USUAL_TILE_WH)
        device_code.cut_out[launch.grid(self.size_wh, tile_wh, self._batch)](
            tuple(rgb.planes),
            rgb.planes[0].stride(),
            self._alpha,
            (*colors, *colors[0].stride()[:3]),
            self._tables,
            out.planes[0],
            self.size_wh,
            DECONTAMINATE=self._colors is not None,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )


class _Foreground:
    """The colours of subject and room on a coarse grid: where the subject surely is, inside, and outside."""

    def __init__(
        self, size_wh: tuple[int, int], cells_wh: tuple[int, int], spec: CutOutSpec, batch: int, device: torch.device
    ) -> None:
        self._spec = spec
        self._shrinkers = [Shrinker(size_wh, cells_wh, batch, device=device) for _ in range(4)]
        shape = (batch, cells_wh[1], cells_wh[0])
        self._share = torch.empty(shape, dtype=torch.uint8, device=device)
        self._weights = torch.empty(shape, dtype=torch.float32, device=device)
        planes = (batch, 3, cells_wh[1], cells_wh[0])
        self._cells, *self._out = (torch.empty(planes, dtype=torch.uint8, device=device) for _ in range(4))
        tiny = BlurSpec(cells_wh, (spec.side, spec.side), least=spec.tiny)
        self._tiny = MaskedBlur(tiny, batch=batch, device=device)
        self._sure = MaskedBlur(replace(tiny, least=spec.sure), batch=batch, device=device)

    def __call__(self, rgb: DevicePicture, alpha: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return sure, inside and outside colours, uint8 [N, 3, h, w]."""
        for index, plane in enumerate(rgb.planes):
            self._shrinkers[index](plane, self._cells[:, index])
        self._shrinkers[3](alpha, self._share)
        power_weights(self._share, self._weights, power=self._spec.power, inverted=False)
        self._sure(self._cells, self._weights, self._out[0])
        self._tiny(self._cells, self._weights, self._out[1])
        power_weights(self._share, self._weights, power=self._spec.power, inverted=True)
        self._tiny(self._cells, self._weights, self._out[2])
        return tuple(self._out)
