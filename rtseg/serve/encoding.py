"""The encoders of the live picture: one picture in, one coded picture out, at once.

Encoding is done once for all who watch, in the pipeline's thread, so neither the event loop nor a second viewer pays
for it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from rtseg.errors import SinkError
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Picture, UInt8Array, Yuv420, picture_size_wh

CODECS: Final = ("H264", "VP8")
"""What a browser may be sent, the preferred one first."""
JPEG_QUALITY: Final = 80
RTP_TIME_BASE: Final = Fraction(1, 90_000)
BITS_A_PIXEL_AND_SECOND: Final = 7.5
LEAST_BITS, MOST_BITS = 800_000, 8_000_000
KEYFRAME_EVERY: Final = 300
"""Frames between keyframes where nobody asks for one."""

# The encoders are told to look at nothing but the picture at hand. `ultrafast` costs a third of `veryfast`, and a rate
# that a local network does not notice makes up for what it finds less.
_H264_OPTIONS: Final = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0"}
_VP8_OPTIONS: Final = {
    "deadline": "realtime",
    "cpu-used": "-12",
    "lag-in-frames": "0",
    "error-resilient": "default",
    "static-thresh": "1",
    "noise-sensitivity": "0",
    "undershoot-pct": "100",
    "overshoot-pct": "15",
}


class LiveEncoder:
    """Encodes the pictures of one stream for a browser; begins anew, with a keyframe, where the size changes.

    Threading: one thread at a time.
    """

    def __init__(self, codec: str) -> None:
        """Take one of CODECS."""
        self.codec = codec
        self._context: VideoCodecContext | None = None
        self._last_ticks = -1

    def encode(self, frame: av.VideoFrame, *, sent_ns: int, keyframe: bool) -> list[av.Packet[Any]]:
        """Return the coded picture, none where the encoder leaves one out.

        Args:
            frame: yuv420p.
            sent_ns: monotonic time that its time stamp tells.
            keyframe: make one that needs no other.

        Raises:
            SinkError: the encoder failed.
        """
        context = self._context_for(frame)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        self._last_ticks = max(self._last_ticks + 1, sent_ns * 9 // 100_000)
        frame.pts, frame.time_base = self._last_ticks, RTP_TIME_BASE
        try:
            return list(context.encode(frame))
        except av.FFmpegError as error:
            self._context = None
            raise SinkError(f"live picture: got {error} from the {self.codec} encoder; expected a picture.") from error

    def _context_for(self, frame: av.VideoFrame) -> VideoCodecContext:
        context = self._context
        if context is None or (context.width, context.height) != (frame.width, frame.height):
            context = self._context = _new_context(self.codec, frame.width, frame.height)
        return context


def _new_context(codec: str, width: int, height: int) -> VideoCodecContext:
    context = av.CodecContext.create("libx264" if codec == "H264" else "libvpx", "w")
    if not isinstance(context, VideoCodecContext):
        raise SinkError(f"live picture: got no video encoder for {codec}; expected one. pip install --upgrade av")
    bits = round(min(MOST_BITS, max(LEAST_BITS, width * height * BITS_A_PIXEL_AND_SECOND)))
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.bit_rate = bits
    context.time_base, context.framerate = RTP_TIME_BASE, Fraction(30)
    context.gop_size = KEYFRAME_EVERY if codec == "H264" else 3000
    context.thread_count = 1 if width * height <= 640 * 480 else 2
    rate = {"maxrate": str(bits), "bufsize": str(bits // 4)}
    if codec == "H264":
        context.options = {**_H264_OPTIONS, **rate}
    else:
        context.qmin, context.qmax = 4, 52
        context.options = {**_VP8_OPTIONS, **rate}
    return context


class LivePainter:
    """Turns pictures into the encoder's frames, with even sides; keeps what it needs for one size and one colour."""

    def __init__(self) -> None:
        self._painter: FramePainter | None = None

    def video_frame(self, picture: Picture) -> av.VideoFrame:
        """Return the picture as yuv420p; the pixels are copied."""
        width, height = picture_size_wh(picture)
        size_wh = (max(2, width - width % 2), max(2, height - height % 2))
        if isinstance(picture, Yuv420):
            tags = ColourTags(picture.matrix, picture.full_range)
        else:
            picture = np.ascontiguousarray(picture[: size_wh[1], : size_wh[0], :3])
            tags = ColourTags("bt601", False)
        if self._painter is None or (self._painter.size_wh, self._painter.tags) != (size_wh, tags):
            self._painter = FramePainter(size_wh=size_wh, pixel_format="yuv420p", tags=tags)
        return self._painter.video_frame(picture)


def jpeg_of(rgb: UInt8Array) -> bytes:
    """Return a picture rgb uint8 [H, W, 3] as JPEG. Raises SinkError where that fails."""
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise SinkError("live picture: got no JPEG from the encoder; expected one. Please report this.")
    return coded.tobytes()
