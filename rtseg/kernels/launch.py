"""How kernels are launched: where tensors must be, and how large a piece of the picture one program does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import triton

from rtseg.errors import BackendUnavailable, ConfigError
from rtseg.kernels.device import arithmetic

INTERPRETED: Final[bool] = not isinstance(arithmetic.rounded, triton.runtime.JITFunction)
"""True where TRITON_INTERPRET=1 was set when the kernels were defined: they run on the CPU, on CPU tensors."""

OPTIONS: Final[dict[str, Any]] = {"enable_fp_fusion": False}
"""Products and sums are rounded one by one, as the CPU does it."""

_MOST_INTERPRETED: Final[tuple[int, int]] = (128, 512)


def check_device(device: torch.device | str) -> torch.device:
    """Return the device, or raise BackendUnavailable where kernels cannot run on it."""
    wanted = torch.device(device)
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(
            "kernels: got no CUDA device; expected an NVIDIA GPU and its driver. Use the CPU path."
        )
    if wanted.type != "cuda" and not INTERPRETED:
        raise BackendUnavailable(
            f"kernels: got device {wanted}; expected cuda. "
            "For a check without a GPU, set TRITON_INTERPRET=1 before Python starts."
        )
    return wanted


def tile(size_wh: tuple[int, int], *, usual_wh: tuple[int, int]) -> tuple[int, int]:
    """Return the sides of the piece that one program does: powers of two, no larger than the picture needs.

    The interpreter pays for each program, not for each pixel, and so gets pieces as large as the picture.
    """
    most_wh = _MOST_INTERPRETED[::-1] if INTERPRETED and not os.environ.get("RTSEG_SMALL_TILES") else usual_wh
    width, height = (min(most, triton.next_power_of_2(side)) for most, side in zip(most_wh, size_wh, strict=True))
    return int(width), int(height)


def grid(size_wh: tuple[int, int], tile_wh: tuple[int, int], batch: int) -> tuple[int, int, int]:
    """Return how many programs cover the pictures: across, down, deep."""
    return -(-size_wh[0] // tile_wh[0]), -(-size_wh[1] // tile_wh[1]), batch


def uploaded(table: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return a table as a new contiguous tensor on the device."""
    return torch.from_numpy(np.ascontiguousarray(table)).to(device, copy=True)


def check_tensor(
    tensor: torch.Tensor,
    shape: Sequence[int],
    dtypes: Sequence[torch.dtype],
    device: torch.device,
    *,
    what: str,
) -> None:
    """Raise ConfigError unless a tensor has this shape, one of these types, and is on the device."""
    if tuple(tensor.shape) == tuple(shape) and tensor.dtype in dtypes and tensor.device.type == device.type:
        return
    kinds = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
    raise ConfigError(
        f"{what}: got {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} on {tensor.device}; expected "
        f"{kinds} {list(shape)} on {device}. Allocate it so."
    )
