"""Launchers from a network's output to what the compositor samples: labels, bytes of a matte, class maps, shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from rtseg.errors import ConfigError
from rtseg.kernels import launch
from rtseg.kernels.device import masks as device_code
from rtseg.matte import snap_levels
from rtseg.types import UInt8Array

_USUAL_TILE_WH: Final[tuple[int, int]] = (64, 4)
_COUNT_TILE: Final[int] = 4096
_FLOATS: Final[tuple[torch.dtype, ...]] = (torch.float16, torch.float32, torch.bfloat16)
COLOR_RADIUS_PX: Final[int] = 3
"""Radius of the square over which colours are carried outwards, in pixels of the mask."""


class Labels:
    """Writes the class of every mask pixel from logits [N, K, h, w]; ties go to the lower class, as in numpy.

    Where the mask is larger than the logits, these are scaled up first, bilinearly with half-pixel centres.
    Sync: one kernel on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        logits_wh: tuple[int, int],
        mask_wh: tuple[int, int],
        class_count: int,
        *,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables of the scaling."""
        self.device = launch.check_device(device)
        self._logits_wh, self._mask_wh, self._class_count = logits_wh, mask_wh, class_count
        self._columns = float_taps(logits_wh[0], mask_wh[0], self.device)
        self._rows = float_taps(logits_wh[1], mask_wh[1], self.device)

    def __call__(self, logits: torch.Tensor, out: torch.Tensor) -> None:
        """Fill `out`, uint8 [N, H, W] contiguous, from float logits [N, K, h, w] with any strides.

        Raises:
            ConfigError: another shape, type or device.
        """
        count = int(logits.shape[0])
        shape = (count, self._class_count, self._logits_wh[1], self._logits_wh[0])
        launch.check_tensor(logits, shape, _FLOATS, self.device, what="labels, logits")
        check_bytes(out, (count, self._mask_wh[1], self._mask_wh[0]), self.device, what="labels, out")
        tile_wh = launch.tile(self._mask_wh, usual_wh=_USUAL_TILE_WH)
        device_code.labels[launch.grid(self._mask_wh, tile_wh, count)](
            logits,
            logits.stride(),
            self._columns,
            self._rows,
            out,
            self._mask_wh,
            self._class_count,
            LARGER=self._logits_wh != self._mask_wh,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )


class AlphaBytes:
    """Writes a matte [N, h, w] of 0..1 as bytes, with almost nothing made nothing and almost everything everything.

    Sync: one kernel on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(self, *, snap: int, device: torch.device | str = "cuda") -> None:
        """Upload the table; `snap` is how near to 0 or 255, in bytes, is taken as that; 0: nothing is."""
        self.device = launch.check_device(device)
        self._levels = launch.uploaded(snap_levels(snap), self.device)

    def __call__(self, alpha: torch.Tensor, out: torch.Tensor) -> None:
        """Fill `out`, uint8 [N, h, w] contiguous, from a float matte [N, h, w] with any strides.

        Raises:
            ConfigError: another shape, type or device.
        """
        launch.check_tensor(alpha, tuple(out.shape), _FLOATS, self.device, what="alpha bytes, matte")
        check_bytes(out, tuple(alpha.shape), self.device, what="alpha bytes, out")
        count, height, width = alpha.shape
        tile_wh = launch.tile((width, height), usual_wh=_USUAL_TILE_WH)
        device_code.alpha_bytes[launch.grid((width, height), tile_wh, count)](
            alpha,
            alpha.stride(),
            self._levels,
            out,
            (width, height),
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )


class ClassMaps:
    """Writes what tables say of the mask's bytes, one map a table, smoothed where asked.

    Sync: one or two kernels on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        look_ups: Sequence[UInt8Array],
        smooth: Sequence[bool],
        *,
        color_channels: Sequence[int] = (),
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables.

        Args:
            look_ups: what each map says of a byte of the mask, uint8 [256] each.
            smooth: whether a map is smoothed with (1 2 1) / 4 both ways.
            color_channels: maps that say where a class has a colour, each followed by three with the amounts of it;
                the colour of the nearest such class is written to the three maps behind these.
            device: where masks are.
        """
        self.device = launch.check_device(device)
        self.channels = len(look_ups)
        self._smooth = sum(1 << index for index, wanted in enumerate(smooth) if wanted)
        self._color_channels = tuple(color_channels)
        self._tables = launch.uploaded(np.stack([*look_ups]), self.device)

    def empty_maps(self, mask_wh: tuple[int, int], batch: int = 1) -> torch.Tensor:
        """Return new maps, uint8 [N, C, h, w], with whatever was in memory."""
        shape = (batch, self.channels, mask_wh[1], mask_wh[0])
        return torch.empty(shape, dtype=torch.uint8, device=self.device)

    def __call__(self, mask: torch.Tensor, out: torch.Tensor) -> None:
        """Fill the maps uint8 [N, C, h, w] from a mask uint8 [N, h, w], both contiguous.

        Raises:
            ConfigError: another shape, type or device.
        """
        count, height, width = mask.shape
        check_bytes(mask, (count, height, width), self.device, what="class maps, mask")
        check_bytes(out, (count, self.channels, height, width), self.device, what="class maps, out")
        tile_wh = launch.tile((width, height), usual_wh=_USUAL_TILE_WH)
        programs = launch.grid((width, height), tile_wh, count)
        tile: dict[str, Any] = {"TILE_W": tile_wh[0], "TILE_H": tile_wh[1], **launch.OPTIONS}
        device_code.class_maps[programs](
            mask, self._tables, out, (width, height), CHANNELS=self.channels, SMOOTH=self._smooth, **tile
        )
        for share in self._color_channels:
            device_code.spread_colors[programs](
                out,
                (width, height),
                SHARE=share,
                CHANNELS=self.channels,
                RADIUS=COLOR_RADIUS_PX,
                **tile,
            )


def count_classes(mask: torch.Tensor, counts: torch.Tensor, *, is_matte: bool) -> None:
    """Write how many pixels each class has, int64 [N, K], of a mask uint8 [N, h, w]; of a matte, its bytes' sum to 1.

    `shares_of` turns the counts, once they are on the host, into shares.
    Sync: a memset and a kernel on torch's current stream; see Note [Nothing allocated per frame].

    Raises:
        ConfigError: another shape, type or device.
    """
    device = launch.check_device(mask.device)
    check_bytes(mask, tuple(mask.shape), device, what="class counts, mask")
    launch.check_tensor(counts, (mask.shape[0], counts.shape[-1]), (torch.int64,), device, what="class counts, counts")
    pixels = int(mask.shape[1] * mask.shape[2])
    counts.zero_()
    device_code.class_counts[(-(-pixels // _COUNT_TILE), int(mask.shape[0]))](
        mask, counts, pixels, int(counts.shape[1]), MATTE=is_matte, TILE=_COUNT_TILE, **launch.OPTIONS
    )


def shares_of(counts: torch.Tensor, *, is_matte: bool, mask_wh: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return the share of each class, float32 [K], 0..1, from one row of counts on the host, int64 [K]."""
    found = counts.numpy().astype(np.float64) / (mask_wh[0] * mask_wh[1])
    if is_matte:
        found[1] /= 255.0
        found[0] = 1.0 - found[1]
    return np.asarray(found, np.float32)


def check_bytes(tensor: torch.Tensor, shape: Sequence[int], device: torch.device, *, what: str) -> None:
    """Raise ConfigError unless a tensor is contiguous bytes of this shape on the device."""
    launch.check_tensor(tensor, shape, (torch.uint8,), device, what=what)
    if not tensor.is_contiguous():
        raise ConfigError(
            f"{what}: got strides {tensor.stride()}; expected contiguous rows. Copy it once, or crop later."
        )


def float_taps(before: int, after: int, device: torch.device) -> tuple[torch.Tensor, int]:
    """Return both neighbours and the share of the second of a bilinear resize, int32 [3, n]; the share as its bits."""
    places = np.maximum((np.arange(after) + 0.5) * (before / after) - 0.5, 0)
    lows = np.minimum(places.astype(np.int32), before - 1)
    shares = (places - lows).astype(np.float32)
    highs = np.minimum(lows + 1, before - 1).astype(np.int32)
    return launch.uploaded(np.stack([lows, highs, shares.view(np.int32)]), device), after
