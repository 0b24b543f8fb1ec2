"""Video files encoded by the GPU's own encoder (NVENC), from frames on the device; by the CPU where that cannot be.

A `DeviceYuv420` goes to the encoder as it lies, through DLPack; a picture in ordinary memory is uploaded. The encoder
gives each frame's packet before it takes the next (`delay` 0, no B-frames), so that a frame's memory is free again when
`write` returns.

Quality is the same number, 0..100, as for the CPU's encoders; it becomes NVENC's constant quality (CQ):

    codec   encoder      CQ at 0, 70 (default), 100
    h264    h264_nvenc   42, 21, 12
    h265    hevc_nvenc   44, 23, 14
    av1     av1_nvenc    58, 29, 16
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeGuard

import av
import av.logging
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext
from av.video.frame import CudaContext

from rtseg.codec_words import codec_user, reason_of
from rtseg.device_picture import DeviceYuv420
from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.codecs import EncoderPlan, check_quality
from rtseg.sinks.file import FileSink
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Picture

NVENC: Final[dict[str, tuple[str, float, float]]] = {
    "h264": ("h264_nvenc", 42, 12),
    "h265": ("hevc_nvenc", 44, 14),
    "av1": ("av1_nvenc", 58, 16),
}
"""Codec -> encoder, CQ at quality 0 and at quality 100."""


class HardwareFileSink(FileSink):
    """A video file encoded on the GPU where that can be."""

    def __init__(self, path: str | Path, **options: Any) -> None:
        """Check what can be checked without the stream.

        Args:
            path: the video file.
            options: those of `FileSink`.

        Raises:
            ConfigError: extension, codec or quality is unknown.
        """
        super().__init__(path, **options)
        self._why_not = "not open yet"

    @classmethod
    def like(cls, sink: FileSink) -> HardwareFileSink:
        """Return a sink that writes the same file."""
        return cls(
            sink.path,
            codec=sink._codec,
            quality=sink._quality,
            overwrite=sink._overwrite,
            encode_threads=sink._threads,
        )

    @property
    def encoder(self) -> str:
        """Who encodes: "nvenc", or "cpu (REASON)". Known once it is open."""
        return codec_user("nvenc", self._why_not)

    @property
    def notes(self) -> Sequence[str]:
        """What was done otherwise than asked."""
        return (*super().notes, *([f"encode: {self.encoder}"] if self._why_not else ()))

    def _open_container(self, plan: EncoderPlan, stream: StreamFormat, tags: ColourTags) -> None:
        self._why_not = ""
        try:
            on_gpu = nvenc_plan(plan, self._quality)
            try_encoder(on_gpu, stream.size_wh)
        except (ConfigError, SinkError) as error:
            self._why_not = str(error)
            super()._open_container(plan, stream, tags)
            return
        super()._open_container(on_gpu, stream, tags)
        self._painter = SurfacePainter(size_wh=stream.size_wh, pixel_format=plan.pixel_format, tags=tags)


class SurfacePainter(FramePainter):
    """Hands pictures that are on the device to the encoder as they lie; all others are copied as for the CPU."""

    def __init__(self, *, size_wh: tuple[int, int], pixel_format: str, tags: ColourTags) -> None:
        super().__init__(size_wh=size_wh, pixel_format=pixel_format, tags=tags)
        self._to_frame: Callable[..., av.VideoFrame] = partial(av.VideoFrame.from_dlpack, cuda_context=CudaContext(0))

    def video_frame(self, picture: Picture) -> av.VideoFrame:
        """Return the picture as a frame that the encoder takes."""
        if not self._fits(picture):
            return super().video_frame(picture)
        frame = self._to_frame(tuple(picture.device_planes), format="nv12")
        self.tags.put_on(frame)
        return frame

    def _fits(self, picture: Picture) -> TypeGuard[DeviceYuv420]:
        if not isinstance(picture, DeviceYuv420) or picture.size_wh != self.size_wh:
            return False
        return (picture.matrix, picture.full_range) == (self.matrix, self.full_range)


def nvenc_plan(plan: EncoderPlan, quality: float | None) -> EncoderPlan:
    """Return the plan with the GPU's encoder in place of the CPU's.

    Raises:
        ConfigError: NVENC has no such codec or pixel format.
    """
    if plan.codec not in NVENC or plan.pixel_format != "yuv420p":
        raise ConfigError(f"NVENC: got {plan.codec} in {plan.pixel_format}; expected {', '.join(NVENC)} in yuv420p.")
    encoder, worst, best = NVENC[plan.codec]
    cq = worst + (best - worst) * check_quality(quality) / 100
    options = {"preset": "p4", "rc": "vbr", "cq": f"{cq:.1f}", "b": "0", "delay": "0", "bf": "0"}
    return replace(plan, encoder=encoder, options=options, on_gpu=True)


def upgraded(sink: Sink) -> Sink:
    """Return the sink that encodes on the GPU in place of one that writes a video file; any other as it is."""
    return HardwareFileSink.like(sink) if type(sink) is FileSink else sink


def try_encoder(plan: EncoderPlan, size_wh: tuple[int, int]) -> None:
    """Open the plan's encoder and close it again.

    Raises:
        SinkError: it does not work here; the message is what FFmpeg said, nothing else.
    """
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as said:
            _open_and_close(plan, size_wh, said)
    finally:
        av.logging.set_level(before)


def _open_and_close(plan: EncoderPlan, size_wh: tuple[int, int], said: Sequence[tuple[int, str, str]]) -> None:
    try:
        encoder = av.CodecContext.create(plan.encoder, "w", hwaccel=HWAccel("cuda", options={"primary_ctx": "1"}))
        if not isinstance(encoder, VideoCodecContext):
            raise ValueError(f"{plan.encoder} is not a video encoder")
        encoder.width, encoder.height = size_wh
        encoder.pix_fmt, encoder.time_base, encoder.options = "nv12", Fraction(1, 30), dict(plan.options)
        encoder.open()
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        raise SinkError(reason_of(said, error)) from error
