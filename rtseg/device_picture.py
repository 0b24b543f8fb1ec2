"""A 4:2:0 picture that lies in the memory of a device, for those who can use it there; all others read its planes.

Nothing here knows a vendor: the planes are whatever exports DLPack, and how they come to the host is told by whoever
made the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rtseg.types import Matrix, UInt8Array, Yuv420


class DeviceYuv420(Yuv420):
    """The two planes of an NV12 picture on a device; reading `y`, `u` or `v` brings it to the host, once.

    Lifetime: as long as this object lives, so do the planes.
    Threading: one thread at a time.
    """

    __slots__ = ("_device_size_wh", "_download", "_host", "device_planes", "keep")

    device_planes: Sequence[Any]
    """Luma [H, W] and interleaved chroma [H/2, W/2, 2], uint8; each exports DLPack."""
    keep: object
    """What the planes' memory belongs to."""
    _device_size_wh: tuple[int, int]
    _download: Callable[[], Yuv420]
    _host: Yuv420 | None

    def __init__(
        self,
        device_planes: Sequence[Any],
        *,
        size_wh: tuple[int, int],
        matrix: Matrix,
        full_range: bool,
        download: Callable[[], Yuv420],
        keep: object = None,
    ) -> None:
        """Describe the picture.

        Args:
            device_planes: see `device_planes`.
            size_wh: width and height in luma pixels, both even.
            matrix: the coefficients that relate the planes to RGB.
            full_range: True: luma 0..255.
            download: returns the same picture in ordinary memory; counts itself, so that stats can tell.
            keep: what the planes' memory belongs to.
        """
        for name, value in (
            ("device_planes", device_planes),
            ("_device_size_wh", size_wh),
            ("matrix", matrix),
            ("full_range", full_range),
            ("_download", download),
            ("_host", None),
            ("keep", keep),
        ):
            object.__setattr__(self, name, value)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in luma pixels."""
        return self._device_size_wh

    @property
    def y(self) -> UInt8Array:
        """Luma on the host, uint8 [H, W]."""
        return self.on_host().y

    @property
    def u(self) -> UInt8Array:
        """Blue difference on the host, uint8 [H/2, W/2]."""
        return self.on_host().u

    @property
    def v(self) -> UInt8Array:
        """Red difference on the host, uint8 [H/2, W/2]."""
        return self.on_host().v

    def on_host(self) -> Yuv420:
        """Return the picture in ordinary memory, brought there at the first call."""
        host = self._host
        if host is None:
            host = self._download()
            object.__setattr__(self, "_host", host)
        return host
