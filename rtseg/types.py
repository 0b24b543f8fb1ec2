"""The values that travel through rtseg: pictures, frames and segmentations.

Nothing here imports OpenCV or a codec before a pixel has to be converted, so `import rtseg` stays quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError

UInt8Array: TypeAlias = npt.NDArray[np.uint8]
UInt16Array: TypeAlias = npt.NDArray[np.uint16]
FloatArray: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = Literal["bt601", "bt709", "bt2020"]


@dataclass(frozen=True, slots=True, eq=False)
class Yuv420:
    """The three planes of one 8-bit 4:2:0 picture of even width and height."""

    y: UInt8Array
    """Luma, uint8 [H, W]."""
    u: UInt8Array
    """Blue difference, uint8 [H/2, W/2]."""
    v: UInt8Array
    """Red difference, uint8 [H/2, W/2]."""
    matrix: Matrix = "bt601"
    """The coefficients that relate the planes to RGB."""
    full_range: bool = False
    """True: luma 0..255; False: luma 16..235, chroma 16..240."""

    def __post_init__(self) -> None:
        """Check the plane shapes against each other."""
        height, width = self.y.shape
        expected = (height // 2, width // 2)
        if height % 2 or width % 2 or self.u.shape != expected or self.v.shape != expected:
            raise ConfigError(
                f"4:2:0 picture: got planes {self.y.shape}, {self.u.shape}, {self.v.shape}; "
                f"expected an even luma size and chroma of half of it, {expected}. Use RGB for odd sizes."
            )

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in luma pixels."""
        return int(self.y.shape[1]), int(self.y.shape[0])

    def __repr__(self) -> str:
        """Show the shape, not the pixels."""
        return f"Yuv420(size_wh={self.size_wh}, matrix={self.matrix!r}, full_range={self.full_range})"


Picture: TypeAlias = "UInt8Array | Yuv420"
"""rgb uint8 [H, W, 3], rgba uint8 [H, W, 4] (straight alpha), or the planes of a 4:2:0 picture."""


def picture_size_wh(picture: Picture) -> tuple[int, int]:
    """Return width and height of a picture in pixels."""
    if isinstance(picture, Yuv420):
        return picture.size_wh
    return int(picture.shape[1]), int(picture.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture with its identity and its times; it travels from source to sink.

    The pixels of a frame that comes out of a source are read-only: they may be the decoder's own reference picture.
    """

    picture: Picture
    """The pixels, as decoded, in display orientation."""
    frame_index: int
    """0 for the first frame of the source; a gap is a dropped frame."""
    pts: int
    """Presentation time in units of `time_base`."""
    time_base: Fraction
    """Seconds a unit of `pts`."""
    captured_ns: int
    """time.monotonic_ns() when the frame left the decoder or the camera."""
    source_id: str = ""
    """Which source of a run this frame is of."""
    duration: int | None = None
    """How long the frame is shown, in units of `time_base`, where the container says."""
    held: str = ""
    """Empty for a frame of its own; "reconnecting" for one that is shown again, with a visible mark, while its source
    is silent."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return picture_size_wh(self.picture)

    @property
    def rgb(self) -> UInt8Array:
        """The picture as rgb uint8 [H, W, 3]; converted at each call when it is held as 4:2:0 planes or RGBA."""
        from rtseg import color

        return color.to_rgb(self.picture)

    def with_picture(self, picture: Picture) -> Frame:
        """Return the same frame with other pixels."""
        return replace(self, picture=picture)

    def __repr__(self) -> str:
        """Show identity and size, not pixels."""
        return f"Frame({self.source_id}#{self.frame_index}, pts_seconds={self.pts_seconds:.3f}, size_wh={self.size_wh})"


@dataclass(slots=True, eq=False)
class Segmentation:
    """What the network says of one frame.

    It holds the masks at the size they were computed at, and gives them at frame size on demand (computed once, kept).
    Exactly one of `network_labels` and `network_alpha` is given.
    """

    classes: tuple[str, ...]
    """Class names; the index is the label."""
    size_wh: tuple[int, int]
    """Size of the frame the masks belong to."""
    network_labels: UInt8Array | None = None
    """Class index of every pixel at network size, uint8 [h, w]; None for a matte."""
    network_alpha: UInt8Array | None = None
    """Soft matte at network size (or frame size, once refined), 0..255, uint8 [h, w]; None for class labels."""
    network_scores: FloatArray | None = None
    """Probability of the winning class, float32 [h, w], where asked for."""
    instances: UInt16Array | None = None
    """Instance id of every pixel, uint16 [H, W]; 0 is none. Not computed by the shipped bundles yet."""
    _labels: UInt8Array | None = field(default=None, repr=False)
    _alpha_bytes: UInt8Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check that there is one mask, two-dimensional bytes."""
        given = [m for m in (self.network_labels, self.network_alpha) if m is not None]
        if len(given) != 1 or given[0].ndim != 2 or given[0].dtype != np.uint8:
            shapes = [(m.shape, str(m.dtype)) for m in given]
            raise ConfigError(f"segmentation: got {shapes}; expected one uint8 [h, w] mask. Give labels or alpha.")

    @property
    def is_matte(self) -> bool:
        """True where the result is a soft matte and the labels follow from it."""
        return self.network_alpha is not None

    @property
    def labels(self) -> UInt8Array:
        """Class index of every frame pixel, uint8 [H, W]. For a matte: 1 where alpha > 0.5."""
        if self._labels is None:
            self._labels = self._frame_labels()
        return self._labels

    @property
    def alpha_bytes(self) -> UInt8Array | None:
        """Soft matte of every frame pixel, 0..255, uint8 [H, W]; None for class labels."""
        if self.network_alpha is not None and self._alpha_bytes is None:
            from rtseg import geometry

            self._alpha_bytes = geometry.resize_linear(self.network_alpha, self.size_wh)
        return self._alpha_bytes

    @property
    def alpha(self) -> FloatArray | None:
        """Soft matte of every frame pixel, 0..1, float32 [H, W]; None for class labels."""
        matte = self.alpha_bytes
        return None if matte is None else matte.astype(np.float32) / np.float32(255)

    @property
    def scores(self) -> FloatArray | None:
        """Probability of the winning class of every frame pixel, float32 [H, W]; None unless asked for."""
        if self.network_scores is None:
            return None
        from rtseg import geometry

        return geometry.resize_linear(self.network_scores, self.size_wh)

    @property
    def network_size_wh(self) -> tuple[int, int]:
        """Width and height of the masks as the network gave them."""
        mask = self.network_labels if self.network_labels is not None else self.network_alpha
        if mask is None:  # excluded in __post_init__; keeps the type checker honest
            raise ConfigError("segmentation: got no mask; expected labels or alpha. Please report this.")
        return int(mask.shape[1]), int(mask.shape[0])

    def at_network_size(self) -> Segmentation:
        """Return the same result whose `labels` and `alpha` are at the network's own size."""
        return replace(self, size_wh=self.network_size_wh, instances=None, _labels=None, _alpha_bytes=None)

    def class_shares(self) -> FloatArray:
        """Return the share of the picture that each class covers, 0..1, float32 [K], summing to 1."""
        if self.network_alpha is not None:
            person = float(self.network_alpha.mean()) / 255.0
            return np.array([1.0 - person, person], dtype=np.float32)
        import cv2

        small = self.labels if self.network_labels is None else self.network_labels
        counts = cv2.calcHist([small], [0], None, [256], [0, 256]).ravel()[: len(self.classes)]  # counts bytes as bytes
        return (counts / small.size).astype(np.float32)

    def _frame_labels(self) -> UInt8Array:
        from rtseg import geometry

        if self.network_labels is not None:
            return geometry.resize_labels(self.network_labels, self.size_wh)
        matte = self.alpha_bytes
        if matte is None:  # excluded in __post_init__
            raise ConfigError("segmentation: got no mask; expected labels or alpha. Please report this.")
        return (matte > 127).astype(np.uint8)
