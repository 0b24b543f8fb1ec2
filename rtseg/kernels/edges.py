"""Launchers of edge refinement: a matte and the luma of the frame -> the matte at the frame's size.

Equal to `rtseg.postprocess.edges.refine_alpha` within one level: the sums behind every fit are exact here and floats
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from rtseg.errors import ConfigError
from rtseg.kernels import launch, tables
from rtseg.kernels.device import edges as device_code
from rtseg.kernels.masks import check_bytes, float_taps
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.resample import linear_table
from rtseg.types import UInt8Array

_USUAL_TILE_WH: Final[tuple[int, int]] = (32, 4)
_FRAME_TILE_WH: Final[tuple[int, int]] = (128, 4)


@dataclass(frozen=True)
class EdgeSpec:
    """How edges are fitted. `rtseg.postprocess.edges` says what the numbers mean and why."""

    radius_px: int
    edge_levels: int
    noise_levels: float
    trust_from: float
    trust_rise: float
    crispness: float

    @property
    def narrow_px(self) -> int:
        """Side of the square over which what was fitted is averaged."""
        return 2 * (self.radius_px // 2) + 1


class EdgeRefiner:
    """Refines mattes of one size on frames of one format.

    Threading: one thread and stream at a time.
    Sync: four kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        mask_wh: tuple[int, int],
        frame: PictureFormat,
        spec: EdgeSpec,
        *,
        play: UInt8Array | None = None,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables and reserve what lies between.

        Args:
            mask_wh: width and height of mattes.
            frame: the format of frames.
            spec: how edges are fitted.
            play: with it, what is shown follows with this backlash by level, uint8 [256], and is the memory of one
                stream: see Note [The memory of a stream on the device].
            device: where everything is.

        Raises:
            ConfigError: frames of less than half the size of the mattes.
        """
        if tables.is_area(mask_wh, frame.size_wh):
            raise ConfigError(
                f"edge refinement on the device: got frames of {frame.size_wh[0]}x{frame.size_wh[1]} for mattes of "
                f"{mask_wh[0]}x{mask_wh[1]}; expected at least half of that. Use --no-edges."
            )
        self.device = launch.check_device(device)
        self._mask_wh, self._frame, self._spec = mask_wh, frame, spec
        width, height = mask_wh
        self._wide, self._narrow = (
            tuple(launch.uploaded(tables.mirrored_places(side, radius), self.device) for side in mask_wh)
            for radius in (spec.radius_px, spec.narrow_px // 2)
        )
        self._marks, self._near = (
            torch.zeros((1, height, width), dtype=torch.uint8, device=self.device) for _ in range(2)
        )
        self._lines = torch.zeros((3, height, width), dtype=torch.float32, device=self.device)
        self._found = torch.zeros((2, height, width), dtype=torch.float32, device=self.device)
        sides = zip(mask_wh, frame.size_wh, strict=True)
        self._float_tables = tuple(float_taps(*pair, self.device)[0] for pair in sides)
        byte_table = linear_table(mask_wh, frame.size_wh, self.device)
        self._byte_tables = byte_table[0], byte_table[2]
        self._steady = play is not None
        self._play = self._shown = self._marks
        if play is not None:
            self._play = launch.uploaded(play, self.device)
            self._shown = self.empty_matte().zero_()

    def empty_matte(self) -> torch.Tensor:
        """Return a new matte of the frame's size, uint8 [1, H, W], with whatever was in memory."""
        width, height = self._frame.size_wh
        return torch.empty((1, height, width), dtype=torch.uint8, device=self.device)

    def __call__(
        self,
        alpha: torch.Tensor,
        luma: torch.Tensor,
        frame: DevicePicture,
        out: torch.Tensor,
        *,
        still: torch.Tensor | None = None,
        params: torch.Tensor | None = None,
    ) -> None:
        """Fill `out`, uint8 [1, H, W], with the refined matte, or with what is shown of it.

        Args:
            alpha: the matte, uint8 [1, h, w].
            luma: of the frame, at the size of the matte, uint8 [1, h, w].
            frame: one frame of the format.
            out: from `empty_matte`.
            still: with backlash, how surely each place stands still, uint8 [1, h, w].
            params: with backlash, as for smoothing.

        Raises:
            ConfigError: another shape, type, format or device.
        """
        self._check(alpha, luma, frame, out)
        self._fit(alpha, luma)
        tile_wh = launch.tile(self._frame.size_wh, usual_wh=_FRAME_TILE_WH)
        first, second, third = frame.planes[:3]
        device_code.drawn[launch.grid(self._frame.size_wh, tile_wh, 1)](
            (first, second, third),
            first.stride()[1:3],
            self._found,
            self._mask_wh,
            self._near if still is None else still,
            self._float_tables,
            self._byte_tables,
            self._play,
            self._shown,
            self._lines if params is None else params,
            out,
            self._frame.size_wh,
            RGB=not self._frame.is_yuv,
            STEADY=self._steady and still is not None and params is not None,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )

    def _fit(self, alpha: torch.Tensor, luma: torch.Tensor) -> None:
        """Queue the fit at the size of the matte."""
        tile_wh = launch.tile(self._mask_wh, usual_wh=_USUAL_TILE_WH)
        programs = launch.grid(self._mask_wh, tile_wh, 1)
        tile = {"TILE_W": tile_wh[0], "TILE_H": tile_wh[1], **launch.OPTIONS}
        spec = self._spec
        device_code.marks[programs](alpha, self._marks, self._mask_wh, LEVELS=spec.edge_levels, **tile)
        device_code.lines[programs](
            alpha,
            luma,
            self._marks,
            self._near,
            self._lines,
            self._wide,
            self._narrow,
            self._mask_wh,
            (spec.noise_levels**2, spec.trust_from, spec.trust_rise),
            RADIUS=spec.radius_px,
            NARROW=spec.narrow_px,
            **tile,
        )
        device_code.coefficients[programs](
            alpha,
            self._near,
            self._lines,
            self._found,
            self._narrow,
            self._mask_wh,
            spec.crispness,
            NARROW=spec.narrow_px,
            **tile,
        )

    def _check(self, alpha: torch.Tensor, luma: torch.Tensor, frame: DevicePicture, out: torch.Tensor) -> None:
        frame.check(self._frame, 1, what="edge refinement, frame")
        width, height = self._mask_wh
        for plane in (alpha, luma):
            check_bytes(plane, (1, height, width), self.device, what="edge refinement, plane")
        width, height = self._frame.size_wh
        check_bytes(out, (1, height, width), self.device, what="edge refinement, out")
