"""Launchers that smooth one stream's masks over time, with the bytes of `rtseg.postprocess.temporal`.

Note [The memory of a stream on the device]
    What is remembered of a stream lies in planes that every frame of it reads and writes. All slots share them, and all
    slots' work goes through one compute stream in the order of the frames, so that no lock and no further event is
    needed: frame n has been through the planes before frame n + 1 comes to them, however copies and slots overlap.
    What the host knows of a frame (how much time has passed, whether it starts afresh) is copied in with it, so that a
    recorded graph follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import triton

from rtseg.kernels import launch, tables
from rtseg.kernels.device import steady as device_code
from rtseg.kernels.masks import check_bytes
from rtseg.types import FloatArray, UInt8Array

_USUAL_TILE_WH: Final[tuple[int, int]] = (64, 4)
_SUM_TILE: Final[int] = 4096
_MOST_SAMPLES: Final[int] = 2048
"""Sampled differences that the one program that ranks them holds at a time."""
PARAM_COUNT: Final[int] = int(device_code.GAINS_AT.value) + 256
"""Numbers that come with a frame."""
GO_ON: Final[int] = int(device_code.GO_ON.value)
"""The frame follows the one before."""
RESTART: Final[int] = int(device_code.RESTART.value)
"""Nothing is remembered of the frames before."""
ALONE: Final[int] = int(device_code.ALONE.value)
"""The frame is shown as it is, and nothing is remembered of it: it comes out of its order."""


@dataclass(frozen=True)
class ChangeSpec:
    """How a change of the picture is looked for. `rtseg.postprocess.change` says what the numbers mean and why."""

    window_px: int
    reach_px: int
    still_levels: float
    moving_levels: float
    noise_margin: float
    calmest_tenth: float
    noisiest_levels: float
    sampled_px: int
    cut_share: float


def frame_params(
    mode: int, *, change_gain: float = 0.0, frames_enough: int = 0, gains: FloatArray | None = None
) -> FloatArray:
    """Return what the kernels are told of a frame, float32 [PARAM_COUNT].

    Args:
        mode: `GO_ON`, `RESTART` or `ALONE`.
        change_gain: share of the way, 0..1, that the reference of a still picture goes in the time that has passed.
        frames_enough: how often a new label must be seen.
        gains: share of the way that a matte goes, by how much it insists, float32 [256].
    """
    params = np.zeros(PARAM_COUNT, np.float32)
    params[:3] = mode, change_gain, frames_enough
    if gains is not None:
        params[int(device_code.GAINS_AT.value) :] = gains
    return params


class _Change:
    """Where the picture of one stream has changed. Sync: three kernels; see Note [Nothing allocated per frame]."""

    def __init__(self, mask_wh: tuple[int, int], spec: ChangeSpec, device: torch.device) -> None:
        width, height = mask_wh
        self.mask_wh, self.spec = mask_wh, spec
        self._device = device
        self.reference = self.plane(torch.float32)
        self.difference = self.plane(torch.float32)
        self._found = torch.zeros(2, dtype=torch.float32, device=device)
        self._programs = -(-width * height // _SUM_TILE)
        self._sums = torch.zeros(self._programs, dtype=torch.float32, device=device)
        radius = spec.window_px // 2
        self._places = tuple(launch.uploaded(tables.mirrored_places(side, radius), device) for side in mask_wh)
        self._rise = float(np.float32(1 / spec.moving_levels))
        sampled = np.arange(width * height, dtype=np.int32).reshape(height, width)[
            :: spec.sampled_px, :: spec.sampled_px
        ]
        self._offsets = launch.uploaded(sampled.ravel(), device)
        most = int(triton.next_power_of_2(sampled.size))
        self._block = most if launch.INTERPRETED else min(most, _MOST_SAMPLES)

    def plane(self, dtype: torch.dtype) -> torch.Tensor:
        """Return a plane of the mask's size that is zero."""
        width, height = self.mask_wh
        return torch.zeros((1, height, width), dtype=dtype, device=self._device)

    def find(self, luma: torch.Tensor, params: torch.Tensor) -> None:
        """Queue the search for changes in a luma, uint8 [1, h, w]."""
        width, height = self.mask_wh
        spec = self.spec
        tile_wh = launch.tile(self.mask_wh, usual_wh=_USUAL_TILE_WH)
        device_code.picture_difference[launch.grid(self.mask_wh, tile_wh, 1)](
            luma,
            self.reference,
            self.difference,
            *self._places,
            self.mask_wh,
            params,
            WINDOW=spec.window_px,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )
        numbers = (spec.still_levels, spec.noise_margin, spec.calmest_tenth, spec.noisiest_levels)
        device_code.light_and_noise[(1,)](
            self.difference,
            self._offsets,
            int(self._offsets.numel()),
            self._found,
            numbers,
            BLOCK=self._block,
            num_warps=min(16, max(4, self._block // 128)),
            **launch.OPTIONS,
        )
        device_code.moved_sums[(self._programs,)](
            self.difference, self._found, self._sums, width * height, self._rise, TILE=_SUM_TILE, **launch.OPTIONS
        )

    @property
    def found(self) -> tuple[Any, ...]:
        """What the kernels that follow take: what was found, the sums, their count, the most, the rise."""
        width, height = self.mask_wh
        return self._found, self._sums, self._programs, self.spec.cut_share * width * height, self._rise

    @property
    def options(self) -> dict[str, Any]:
        """Tile and block of the kernels that follow."""
        tile_wh = launch.tile(self.mask_wh, usual_wh=_USUAL_TILE_WH)
        block = int(triton.next_power_of_2(self._programs))
        return {"TILE_W": tile_wh[0], "TILE_H": tile_wh[1], "SUMS": block, **launch.OPTIONS}

    def grid(self) -> tuple[int, int, int]:
        """Return how many programs cover the mask."""
        return launch.grid(self.mask_wh, launch.tile(self.mask_wh, usual_wh=_USUAL_TILE_WH), 1)

    def check(self, planes: Sequence[torch.Tensor], params: torch.Tensor) -> None:
        """Raise ConfigError unless all planes are uint8 [1, h, w] and the parameters are those of one frame."""
        width, height = self.mask_wh
        for plane in planes:
            check_bytes(plane, (1, height, width), self._device, what="smoothing, plane")
        launch.check_tensor(params, (PARAM_COUNT,), (torch.float32,), self._device, what="smoothing, parameters")


class MatteSmoother:
    """Smooths the mattes of one stream, as `rtseg.postprocess.temporal.AlphaSmoother`.

    Threading: one thread and stream; see Note [The memory of a stream on the device].
    Sync: four kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self, mask_wh: tuple[int, int], spec: ChangeSpec, play: UInt8Array, *, device: torch.device | str = "cuda"
    ) -> None:
        """Reserve what is remembered; the first frame has to restart.

        Args:
            mask_wh: width and height of mattes.
            spec: how changes are looked for.
            play: backlash by the level of the matte, uint8 [256].
            device: where everything is.
        """
        self.device = launch.check_device(device)
        self._change = _Change(mask_wh, spec, self.device)
        self._play = launch.uploaded(play, self.device)
        self._state = self._change.plane(torch.float32)
        self._before, self._shown = (self._change.plane(torch.uint8) for _ in range(2))
        self.still = self._change.plane(torch.uint8)
        """How surely each place of the last frame stood still, 255 is wholly, uint8 [1, h, w]."""

    def __call__(self, mask: torch.Tensor, luma: torch.Tensor, params: torch.Tensor, out: torch.Tensor) -> None:
        """Fill `out` with what is shown of a matte; all planes uint8 [1, h, w], contiguous.

        Args:
            mask: the matte of the next frame.
            luma: its luma, at the size of the matte.
            params: from `frame_params`, float32 [PARAM_COUNT], on the device.
            out: another plane.

        Raises:
            ConfigError: another shape, type or device.
        """
        change = self._change
        change.check((mask, luma, out), params)
        change.find(luma, params)
        device_code.matte[change.grid()](
            mask,
            (change.reference, self._state, self._before, self._shown),
            change.difference,
            change.found,
            self._play,
            params,
            out,
            self.still,
            change.mask_wh,
            **change.options,
        )


class LabelSmoother:
    """Smooths the labels of one stream, as `rtseg.postprocess.temporal.LabelSmoother`.

    Threading: one thread and stream; see Note [The memory of a stream on the device].
    Sync: four kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(self, mask_wh: tuple[int, int], spec: ChangeSpec, *, device: torch.device | str = "cuda") -> None:
        """Reserve what is remembered; the first frame has to restart."""
        self.device = launch.check_device(device)
        self._change = _Change(mask_wh, spec, self.device)
        self._shown, self._rival, self._seen = (self._change.plane(torch.uint8) for _ in range(3))

    def __call__(self, mask: torch.Tensor, luma: torch.Tensor, params: torch.Tensor, out: torch.Tensor) -> None:
        """Fill `out` with what is shown of labels; as `MatteSmoother`.

        Raises:
            ConfigError: another shape, type or device.
        """
        change = self._change
        change.check((mask, luma, out), params)
        change.find(luma, params)
        device_code.labels[change.grid()](
            mask,
            (change.reference, self._shown, self._rival, self._seen),
            change.difference,
            change.found,
            params,
            out,
            change.mask_wh,
            REACH=change.spec.reach_px,
            **change.options,
        )
