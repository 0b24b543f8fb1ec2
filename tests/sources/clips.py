"""Small clips that the tests of sources write for themselves, with pixels and times known to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rtseg import color
from rtseg.types import Matrix, UInt8Array

PATCHES = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 30, 90), (20, 180, 240),
)  # fmt: skip
PATCH_PX = 16
TAGS: dict[Matrix, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}


def patch_rgb(width: int = PATCH_PX * len(PATCHES), height: int = 32) -> UInt8Array:
    """Vertical bars of the known colours, rgb uint8 [height, width, 3]."""
    column = np.minimum(np.arange(width) // PATCH_PX, len(PATCHES) - 1)
    return np.repeat(np.array(PATCHES, np.uint8)[column][None], height, axis=0)


def patch_frame(
    pixel_format: str, matrix: Matrix, *, full_range: bool, width: int = PATCH_PX * len(PATCHES), height: int = 32
) -> av.VideoFrame:
    """The known colours as the planes of a YUV or grey frame of any depth, computed by rtseg.color in floats."""
    frame = av.VideoFrame(width, height, pixel_format)
    rgb = patch_rgb(width, height).astype(np.float64)
    if pixel_format.startswith("gray"):
        rgb[:] = rgb[..., :1]
    affine = color.rgb_to_yuv_matrix(matrix, full_range)
    yuv = rgb @ affine[:, :3].T + affine[:, 3]
    bits = frame.format.components[0].bits
    for index, plane in enumerate(frame.planes):
        values = yuv[..., min(index, 2)]
        if full_range:
            top = 2**bits - 1
            values = values / 255 * top if index == 0 else (values - 128) / 255 * top + 2 ** (bits - 1)
        else:
            values = values * 2 ** (bits - 8)
        step_y, step_x = -(-height // plane.height), -(-width // plane.width)
        _fill(plane, np.clip(np.rint(values), 0, 2**bits - 1)[::step_y, ::step_x], 1 if bits == 8 else 2)
    frame.colorspace = TAGS[matrix]
    frame.color_range = 2 if full_range else 1
    return frame


def _fill(plane: av.video.plane.VideoPlane, values: np.ndarray, sample_bytes: int) -> None:
    dtype = np.uint8 if sample_bytes == 1 else np.uint16
    lines = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    lines[:, : plane.width] = values.astype(dtype)


def numbered_rgb(number: int, size_wh: tuple[int, int] = (64, 48)) -> UInt8Array:
    """A picture that tells its number: grey of 5 * number, with a white corner at the top left."""
    rgb = np.full((size_wh[1], size_wh[0], 3), 5 * number % 250, np.uint8)
    rgb[:16, :16] = 255
    return rgb


def number_of(rgb: UInt8Array) -> int:
    """The number that `numbered_rgb` wrote, from the lower right quarter."""
    height, width = rgb.shape[:2]
    return round(float(rgb[height // 2 :, width // 2 :].mean()) / 5)


def write_clip(
    path: Path,
    *,
    frame_count: int = 20,
    size_wh: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    options: dict[str, str] | None = None,
    turn: tuple[int, bool, bool] | None = None,
    with_audio: bool = False,
    header_first: bool = False,
) -> Path:
    """Write numbered pictures; `turn` is (degrees anticlockwise, mirrored x, mirrored y)."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if header_first else {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {"crf": "8", "g": "8", "preset": "veryfast"})
        stream.width, stream.height = size_wh
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        if turn is not None:
            stream.set_display_rotation(turn[0], turn[1], turn[2])
        sound = container.add_stream("aac", rate=8000) if with_audio else None
        for number in range(frame_count):
            frame = av.VideoFrame.from_ndarray(numbered_rgb(number, size_wh), "rgb24").reformat(format=pixel_format)
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def write_patches(path: Path, pixel_format: str, matrix: Matrix, *, full_range: bool, size_wh: tuple[int, int]) -> Path:
    """Write three lossless frames of the known colours, tagged with their matrix and range."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pixel_format
        stream.codec_context.colorspace = TAGS[matrix]
        stream.codec_context.color_range = 2 if full_range else 1
        for number in range(3):
            frame = patch_frame(pixel_format, matrix, full_range=full_range, width=size_wh[0], height=size_wh[1])
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain_count(path: Path) -> int:
    """Frames that a loop over packets with slice threads decodes: the yardstick for damaged files."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            try:
                count += len(packet.decode())
            except (av.FFmpegError, ValueError):
                continue
    return count
