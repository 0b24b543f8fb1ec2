"""The launcher of the fused preprocess: NV12, I420 or RGB -> resized, normalised NCHW, in one pass.

The picture before normalisation equals that of `rtseg.preprocess.to_network` byte for byte, in every layout, matrix and
range, as long as a side of more than twice the network's can be halved until it is not (all usual video sizes can);
where it cannot, and an average over an uneven area is taken, it is within one level. The normalised value of a byte is
looked up, so that it is the formula's, rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from rtseg.kernels import launch, tables
from rtseg.kernels.device import preprocess as device_code
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.resample import area_table, linear_table
from rtseg.network import ChannelOrder

_USUAL_TILE_WH: Final[tuple[int, int]] = (64, 4)
_LARGEST_WORD: Final[int] = 4
_PARTS: Final[dict[str, tuple[int, int]]] = {"rgb": (3, 0), "rgba": (4, 0), "nv12": (1, 2), "i420": (1, 1)}
_LAYOUT_CODES: Final[dict[str, int]] = {"rgb": 3, "nv12": 12, "i420": 11}


@dataclass(frozen=True)
class Normalisation:
    """How bytes become the network's numbers: (byte * scale - mean) / std, in the network's channel order."""

    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channel_order: ChannelOrder = "RGB"


class Preprocessor:
    """Fills network inputs from frames of one format.

    Threading: one thread and stream at a time; holds no per-frame state, so that several slots may share one.
    Sync: launches one kernel on torch's current stream; see Note [Nothing allocated per frame].
    """

    def __init__(
        self,
        frame: PictureFormat,
        size_wh: tuple[int, int],
        *,
        normalisation: Normalisation | None = None,
        dtype: torch.dtype = torch.float16,
        device: torch.device | str = "cuda",
    ) -> None:
        """Upload the tables.

        Args:
            frame: the format of every frame.
            size_wh: the network's width and height.
            normalisation: from bytes to the network's numbers; None: to 0..1, RGB.
            dtype: float16 or float32, of the network's input.
            device: where frames and inputs are.

        Raises:
            BackendUnavailable: kernels do not run on that device.
        """
        self.frame = frame
        self.size_wh = size_wh
        self.dtype = dtype
        self.device = launch.check_device(device)
        self._normalisation = normalisation or Normalisation()
        levels = tables.input_levels(
            scale=self._normalisation.scale, mean=self._normalisation.mean, std=self._normalisation.std
        )
        self._levels = torch.from_numpy(levels).to(dtype).to(self.device)
        self._matrix = launch.uploaded(tables.matrix_table(frame.matrix, frame.full_range, to_rgb=True), self.device)
        self._first = _Axes.of(frame.plane_size_wh(0), size_wh, self.device)
        self._other = _Axes.of(frame.plane_size_wh(1), size_wh, self.device)

    def empty_input(self, batch: int = 1) -> torch.Tensor:
        """Return a new input tensor [N, 3, h, w] with whatever was in memory."""
        width, height = self.size_wh
        return torch.empty((batch, 3, height, width), dtype=self.dtype, device=self.device)

    def __call__(self, picture: DevicePicture, out: torch.Tensor, *, luma: torch.Tensor | None = None) -> None:
        """Fill a network input.

        Args:
            picture: N frames of the format.
            out: [N, 3, h, w] of `dtype`; any strides, so also channels-last.
            luma: where to put the brightness at network size, uint8 [N, h, w], as `NetworkPicture.luma`; None: nowhere.

        Raises:
            ConfigError: a picture of another format, or an input of another shape, type or device.
        """
        picture.check(self.frame, picture.batch, what="preprocess")
        width, height = self.size_wh
        launch.check_tensor(
            out, (picture.batch, 3, height, width), (self.dtype,), self.device, what="preprocess, network input"
        )
        if luma is not None:
            shape = (picture.batch, height, width)
            launch.check_tensor(luma, shape, (torch.uint8,), self.device, what="preprocess, luma")
        tile_wh = launch.tile(self.size_wh, usual_wh=_USUAL_TILE_WH)
        device_code.network_input[launch.grid(self.size_wh, tile_wh, picture.batch)](
            *self._arguments(picture, out, luma),
            BGR=self._normalisation.channel_order == "BGR",
            LUMA=luma is not None,
            TILE_W=tile_wh[0],
            TILE_H=tile_wh[1],
            **launch.OPTIONS,
        )

    def _arguments(self, picture: DevicePicture, out: torch.Tensor, luma: torch.Tensor | None) -> tuple[Any, ...]:
        """Return the arguments of the kernel up to BGR, in order."""
        first, second, third = picture.planes[:3]
        layout = self.frame.layout
        words = [
            _word(plane, parts, axes)
            for plane, parts, axes in zip((first, second), _PARTS[layout], (self._first, self._other), strict=True)
        ]
        boxes = (*self._first.halvings, words[0], *self._other.halvings, words[1])
        return (
            first,
            second,
            third,
            first.stride()[:2],
            second.stride()[:2],
            self._first.table,
            self._other.table,
            self._matrix,
            self._levels,
            out,
            out if luma is None else luma,
            out.stride(),
            self.size_wh,
            _LAYOUT_CODES[layout],
            boxes,
            (self._first.is_area, self._other.is_area),
        )


@dataclass(frozen=True)
class _Axes:
    """How a plane is resized: by which halvings, and with which tables."""

    halvings: tuple[int, int]
    table: tuple[Any, ...]
    is_area: bool

    @classmethod
    def of(cls, plane_wh: tuple[int, int], size_wh: tuple[int, int], device: torch.device) -> _Axes:
        across, down = (tables.halving_factor(*sides) for sides in zip(plane_wh, size_wh, strict=True))
        halved_wh = plane_wh[0] // across, plane_wh[1] // down
        if tables.is_area(halved_wh, size_wh):
            return cls((across, down), area_table(halved_wh, size_wh, device), True)
        return cls((across, down), linear_table(halved_wh, size_wh, device), False)


def _word(plane: torch.Tensor, parts: int, axes: _Axes) -> int:
    """Return how many bytes of a box can be read at once: what its width, its address and its rows allow."""
    if parts == 0:
        return 1
    word = _LARGEST_WORD
    while (parts * axes.halvings[0]) % word or plane.data_ptr() % word or any(s % word for s in plane.stride()[:2]):
        word //= 2
    return word
