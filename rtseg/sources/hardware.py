"""Video files decoded by the GPU's own decoder (NVDEC), frames left on the device; by the CPU where that cannot be.

Every frame comes as a `DeviceYuv420` whose planes are FFmpeg's CUDA surfaces, exported through DLPack. Where the GPU
does not decode this file, it is read by the CPU and `info.details["decode"]` and the notes say so, with the reason as
FFmpeg gave it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import av
import av.logging
from av.codec.hwaccel import HWAccel

from rtseg.codec_words import codec_user, reason_of
from rtseg.device_picture import DeviceYuv420
from rtseg.errors import DecodeError, SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.decoding import VideoPass
from rtseg.sources.file import FileSource
from rtseg.sources.pixels import PictureReader, color_of
from rtseg.types import Picture, Yuv420

SURFACES_IN_USE: Final = 16
"""Decoded surfaces that may be held outside the decoder at once: slots, channels, and some to spare."""


class HardwareFileSource(FileSource):
    """A video file decoded on the GPU where it can be.

    Lifetime: a frame's planes are one of the decoder's surfaces; `SURFACES_IN_USE` may be held at once.
    """

    @classmethod
    def like(cls, source: FileSource) -> HardwareFileSource:
        """Return a source that reads the same span of the same file."""
        return cls(
            source._path,
            start_seconds=source._start_seconds,
            duration_seconds=source._duration_seconds,
            thread_count=source._thread_count,
            source_id=source._source_id,
        )

    @property
    def info(self) -> SourceInfo:
        """What is known of the file, and who decodes it: `details["decode"]`."""
        return super().info

    @property
    def decoder(self) -> str:
        """Who decodes: "nvdec", or "cpu (REASON)". Known once it is open."""
        return codec_user("nvdec", "" if self._accelerator is not None else self._why_not)

    _why_not = "not open yet"

    def open(self) -> None:
        """Open the file on the GPU; on the CPU where that fails, which is noted with the reason.

        Raises:
            SourceError: as `FileSource.open`.
        """
        self._why_not = self._try_hardware()
        if self._why_not:
            self.close()
            self._accelerator = None
            self._pictures = PictureReader()
            super().open()
            self.counters.notes.append(f"decode: {self.decoder}")
        self.info.details["decode"] = self.decoder

    def _start_pass(self, *, careful: bool = False, resume_after_pts: int | None = None) -> VideoPass:
        video = super()._start_pass(careful=careful, resume_after_pts=resume_after_pts)
        if self._accelerator is not None:
            video.stream.codec_context.options["extra_hw_frames"] = str(SURFACES_IN_USE)
        return video

    def _try_hardware(self) -> str:
        """Open on the GPU and look at the first frame; return why it cannot be, or nothing."""
        self._accelerator = HWAccel("cuda", is_hw_owned=True, allow_software_fallback=False)
        reader = SurfaceReader()
        self._pictures = reader
        with _ffmpeg_errors() as said:
            try:
                super().open()
                first = next(self._decoded)
            except (SourceError, av.FFmpegError, NotImplementedError) as error:
                return reason_of(said, error)
        self._decoded = _chained(first, self._decoded)
        return reader.why_not(first)


class SurfaceReader(PictureReader):
    """Turns the decoder's CUDA surfaces into pictures without touching a pixel; counts what had to come to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads = 0
        """Pictures that somebody read on the host after all."""

    def why_not(self, frame: av.VideoFrame) -> str:
        """Return why the frames of this video cannot stay on the device, or nothing."""
        if frame.format.name != "cuda":
            return f"no GPU decoder for {frame.format.name} of this stream"
        inner = frame.sw_format.name if frame.sw_format is not None else "an unknown format"
        if inner != "nv12":
            return f"{inner} surfaces; 8-bit 4:2:0 stays on the device"
        if frame.width % 2 or frame.height % 2:
            return f"the odd size {frame.width}x{frame.height}"
        return f"turned by {frame.rotation} degrees" if frame.rotation else ""

    def read(self, frame: av.VideoFrame) -> Picture:
        """Return the surface as a picture; a frame that came to the host is read as by the CPU decoder.

        Raises:
            DecodeError: the surface is of another kind than those before.
        """
        if frame.format.name != "cuda":
            return super().read(frame)
        if why_not := self.why_not(frame):
            raise DecodeError(
                f"GPU decoder: got {why_not}; expected surfaces like the first. Convert the file to one format."
            )
        matrix, full_range = color_of(frame)
        return DeviceYuv420(
            frame.planes,
            size_wh=(frame.width, frame.height),
            matrix=matrix,
            full_range=full_range,
            download=lambda: self._download(frame),
            keep=frame,
        )

    def _download(self, frame: av.VideoFrame) -> Yuv420:
        self.downloads += 1
        picture = super().read(self._reformatter.reformat(frame, format="nv12", threads=1))
        if not isinstance(picture, Yuv420):  # nv12 of even size always stays as planes
            raise DecodeError("GPU decoder: got a surface that is not 4:2:0; expected nv12. Please report this.")
        matrix, full_range = color_of(frame)
        return Yuv420(picture.y, picture.u, picture.v, matrix=matrix, full_range=full_range)


def upgraded(source: Source) -> Source:
    """Return the source that decodes on the GPU in place of one that reads a video file; any other as it is."""
    return HardwareFileSource.like(source) if type(source) is FileSource else source


@contextmanager
def _ffmpeg_errors() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg says of errors, which PyAV otherwise throws away; the level is put back."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    quiet = logging.getLogger("libav")
    silenced, quiet.disabled = quiet.disabled, True
    try:
        with av.logging.Capture(local=False) as said:
            yield said
    finally:
        av.logging.set_level(before)
        quiet.disabled = silenced


def _chained(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest
