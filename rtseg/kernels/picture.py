"""Pictures on a device: three planes of bytes, wherever they lie, and the facts needed to read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import torch

from rtseg.errors import ConfigError
from rtseg.types import Matrix

Layout = Literal["rgb", "rgba", "nv12", "i420"]


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """How a picture is held; equal formats share tables, buffers and kernels."""

    size_wh: tuple[int, int]
    """Width and height in pixels; even for 4:2:0."""
    layout: Layout = "rgb"
    """rgb: [H, W, 3]; rgba: [H, W, 4], straight alpha; nv12: Y and interleaved U, V; i420: Y, U, V."""
    matrix: Matrix = "bt709"
    """The coefficients that relate Y, U, V to RGB; means nothing for RGB."""
    full_range: bool = False
    """True: luma 0..255; False: luma 16..235, chroma 16..240; means nothing for RGB."""

    def __post_init__(self) -> None:
        """Check the size."""
        width, height = self.size_wh
        if width < 1 or height < 1 or (self.is_yuv and (width % 2 or height % 2)):
            raise ConfigError(
                f"device picture: got {width}x{height} as {self.layout}; expected at least one pixel, and even sides "
                "for 4:2:0. Use RGB for odd sizes."
            )

    @property
    def is_yuv(self) -> bool:
        """True where the planes are Y, U, V, the last two at half size."""
        return self.layout in ("nv12", "i420")

    @property
    def byte_count(self) -> int:
        """Bytes of one picture."""
        pixels = self.size_wh[0] * self.size_wh[1]
        return pixels * 3 // 2 if self.is_yuv else pixels * (4 if self.layout == "rgba" else 3)

    def plane_size_wh(self, index: int) -> tuple[int, int]:
        """Return the size of a plane in its own pixels."""
        shrink = 2 if self.is_yuv and index in (1, 2) else 1
        return self.size_wh[0] // shrink, self.size_wh[1] // shrink


@dataclass(frozen=True, slots=True, eq=False)
class DevicePicture:
    """One picture, or a batch of them, as planes on a device.

    The planes are views: of an RGB tensor, of NV12 with its pitch as a decoder gives it, of three planes of I420.
    Lifetime: of the tensors it was made of; nothing is copied.
    """

    format: PictureFormat
    planes: tuple[torch.Tensor, ...]
    """R, G, B (and alpha), or Y, U, V: uint8 [N, h, w] with any strides."""

    @classmethod
    def of_rgb(cls, rgb: torch.Tensor) -> Self:
        """Return the picture of rgb or rgba uint8 [H, W, 3 or 4] or [N, H, W, 3 or 4].

        Raises:
            ConfigError: another shape or type.
        """
        batch = rgb if rgb.ndim == 4 else rgb[None]
        if batch.ndim != 4 or batch.shape[3] not in (3, 4) or batch.dtype != torch.uint8:
            raise ConfigError(
                f"device picture: got {rgb.dtype} {list(rgb.shape)}; expected uint8 [H, W, 3] or [N, H, W, 3]."
            )
        size_wh = (int(batch.shape[2]), int(batch.shape[1]))
        layout: Layout = "rgb" if batch.shape[3] == 3 else "rgba"
        return cls(PictureFormat(size_wh, layout), tuple(batch[..., index] for index in range(batch.shape[3])))

    @classmethod
    def of_nv12(cls, y: torch.Tensor, uv: torch.Tensor, *, matrix: Matrix = "bt709", full_range: bool = False) -> Self:
        """Return the picture of luma uint8 [H, W] and chroma uint8 [H/2, W] or [H/2, W/2, 2]; [N, …] for a batch.

        Rows may be padded: pass `buffer[:, :width]` of a buffer with a pitch.

        Raises:
            ConfigError: shapes that do not fit each other.
        """
        luma = y if y.ndim == 3 else y[None]
        width, height, count = int(luma.shape[2]), int(luma.shape[1]), int(luma.shape[0])
        chroma = uv if uv.ndim == y.ndim else uv.flatten(-2)
        chroma = chroma if chroma.ndim == 3 else chroma[None]
        if tuple(chroma.shape) != (count, height // 2, width):
            raise _unfit(y, uv)
        pairs = _unfolded(chroma, (count, height // 2, width // 2, 2))
        return cls._of_planes("nv12", (luma, pairs[..., 0], pairs[..., 1]), matrix, full_range)

    @classmethod
    def of_i420(
        cls,
        y: torch.Tensor,
        u: torch.Tensor,
        v: torch.Tensor,
        *,
        matrix: Matrix = "bt709",
        full_range: bool = False,
    ) -> Self:
        """Return the picture of luma uint8 [H, W] and chroma uint8 [H/2, W/2] each; [N, …] for a batch.

        Raises:
            ConfigError: shapes that do not fit each other.
        """
        luma, blue, red = (plane if plane.ndim == 3 else plane[None] for plane in (y, u, v))
        expected = (luma.shape[0], luma.shape[1] // 2, luma.shape[2] // 2)
        if tuple(blue.shape) != expected or tuple(red.shape) != expected:
            raise _unfit(y, u, v)
        return cls._of_planes("i420", (luma, blue, red), matrix, full_range)

    @classmethod
    def empty(
        cls,
        picture_format: PictureFormat,
        *,
        batch: int = 1,
        device: torch.device | str = "cuda",
        pin_memory: bool = False,
    ) -> Self:
        """Return a new picture, or a batch, with whatever was in memory; planes of one picture lie together."""
        flat = torch.empty((batch, picture_format.byte_count), dtype=torch.uint8, device=device, pin_memory=pin_memory)
        return cls.of_bytes(flat, picture_format)

    @classmethod
    def of_bytes(cls, flat: torch.Tensor, picture_format: PictureFormat) -> Self:
        """Return the pictures in a buffer uint8 [N, byte_count]: rows without padding, chroma behind luma."""
        width, height = picture_format.size_wh
        if not picture_format.is_yuv:
            depth = 4 if picture_format.layout == "rgba" else 3
            return cls.of_rgb(flat.view(flat.shape[0], height, width, depth))
        count, pixels = int(flat.shape[0]), width * height
        luma = _unfolded(flat[:, :pixels], (count, height, width))
        matrix, full_range = picture_format.matrix, picture_format.full_range
        if picture_format.layout == "nv12":
            chroma = _unfolded(flat[:, pixels:], (count, height // 2, width))
            return cls.of_nv12(luma, chroma, matrix=matrix, full_range=full_range)
        parts = _unfolded(flat[:, pixels:], (count, 2, height // 2, width // 2))
        return cls.of_i420(luma, parts[:, 0], parts[:, 1], matrix=matrix, full_range=full_range)

    @classmethod
    def _of_planes(cls, layout: Layout, planes: tuple[torch.Tensor, ...], matrix: Matrix, full_range: bool) -> Self:
        if any(plane.dtype != torch.uint8 for plane in planes):
            raise ConfigError(f"device picture: got {[plane.dtype for plane in planes]}; expected uint8 planes.")
        size_wh = (int(planes[0].shape[2]), int(planes[0].shape[1]))
        return cls(PictureFormat(size_wh, layout, matrix, full_range), planes)

    @property
    def batch(self) -> int:
        """How many pictures."""
        return int(self.planes[0].shape[0])

    @property
    def device(self) -> torch.device:
        """Where the planes are."""
        return self.planes[0].device

    def check(self, picture_format: PictureFormat, batch: int, *, what: str) -> None:
        """Raise ConfigError unless this is a batch of that many pictures of that format."""
        if self.format != picture_format or self.batch != batch:
            raise ConfigError(
                f"{what}: got {self.batch} of {self.format}; expected {batch} of {picture_format}. "
                "Make another object for another format."
            )


def _unfolded(planes: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a view whose last side is folded into the last ones of a shape; rows before it keep their pitch."""
    kept = planes.ndim - 1
    inner = [math.prod(shape[index + 1 :]) for index in range(kept, len(shape))]
    return planes.as_strided(shape, (*planes.stride()[:kept], *inner), planes.storage_offset())


def _unfit(*planes: torch.Tensor) -> ConfigError:
    return ConfigError(
        f"device picture: got planes {[list(plane.shape) for plane in planes]}; expected luma of even size and chroma "
        "of half of it. Cut off the padding of the rows first."
    )
