"""Pictures of a live output: H.264 that leaves the encoder at once, with bounded size and bounded distance of keys.

Note [Live encoding]: `zerolatency` has no B-frames and no look-ahead, so that every picture gives one packet at once
and decode times are presentation times. Constant quality under a ceiling: still pictures cost next to nothing, moving
ones no more than the bitrate, with one second of it as buffer (VBV). A picture that can be decoded alone comes at least
every `keyframes_seconds` of the frames' own time, whatever their rate has become, with its headers (SPS, PPS) before
it, so that a receiver can come in at any of them. Range is always limited, since players of live streams often do not
look; the matrix stays the source's and is said in the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.address import LiveOptions
from rtseg.sinks.base import StreamFormat
from rtseg.sinks.clock import GUESSED_RATE
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Frame, Picture, Yuv420, picture_size_wh

TICKS_A_SECOND: Final = 90_000
QUALITY_CRF: Final = 21
BITS_A_PIXEL: Final = 0.11
LEAST_BITRATE, MOST_BITRATE = 300_000, 20_000_000
VBV_SECONDS: Final = 1.0
PIXELS_A_SECOND_OF_A_THREAD: Final = 40_000_000
"""What one thread encodes with half of a core to spare: 720p at 30 a second is 28 million."""

MOST_THREADS: Final = 4
NEVER: Final = 1_000_000
INTRA: Final = 1


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One H.264 access unit in Annex B form."""

    content: bytes
    """NAL units, each after a start code; headers first where `is_key`."""
    seconds: Fraction
    """When it is shown, from the start of this connection."""
    is_key: bool
    """True where it can be decoded without any other."""


class LiveVideo:
    """The encoder of one connection. Threading: one thread. Encoding releases the GIL."""

    def __init__(self, stream: StreamFormat, options: LiveOptions, *, shown: str) -> None:
        """Open the encoder.

        Args:
            stream: what will come.
            options: of the address.
            shown: how the output is called in messages.

        Raises:
            ConfigError: pictures with transparency, which no live stream carries.
            SinkError: FFmpeg has no libx264, or it refuses the size.
        """
        if stream.has_alpha:
            raise ConfigError(
                f"output {shown}: got transparent pictures; expected opaque ones, since live video has no alpha. "
                f"Replace the background by a colour: replace:color=#00ff00."
            )
        self.size_wh = (max(2, stream.size_wh[0] & ~1), max(2, stream.size_wh[1] & ~1))
        self.frame_rate = (stream.frame_rate or GUESSED_RATE).limit_denominator(1001)
        self.bitrate = options.bitrate or default_bitrate(self.size_wh, self.frame_rate)
        self.notes: list[str] = []
        tags = ColourTags(
            matrix=stream.matrix,
            full_range=False,
            primaries=stream.color_primaries,
            transfer=stream.color_transfer,
        )
        self._painter = FramePainter(size_wh=self.size_wh, pixel_format="yuv420p", tags=tags)
        self._announced_wh = stream.size_wh
        self._shown = shown
        self._start_seconds: Fraction | None = None
        self._last_ticks = -1
        self._last_key_ticks = -NEVER * TICKS_A_SECOND
        self._key_ticks = round(options.keyframes_seconds * TICKS_A_SECOND)
        self._encoder = self._opened(tags)
        self.headers = bytes(self._encoder.extradata or b"")

    @property
    def start_seconds(self) -> Fraction:
        """Source time of the first picture, which is time 0 of the connection; 0 before it."""
        return self._start_seconds or Fraction(0)

    def encode(self, frame: Frame) -> list[EncodedPicture]:
        """Return the access units (one, with this encoder) of a composited frame, whatever its size."""
        picture = self._painter.video_frame(self._fitting(frame.picture))
        picture.time_base = Fraction(1, TICKS_A_SECOND)
        picture.pts = self._ticks_of(frame)
        if picture.pts - self._last_key_ticks >= self._key_ticks:
            picture.pict_type = INTRA
            self._last_key_ticks = picture.pts
        try:
            return [self._access_unit(packet) for packet in self._encoder.encode(picture)]
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(
                f"output {self._shown}: got {_words(error)!r} from the encoder; expected a packet. Please report this."
            ) from error

    def _ticks_of(self, frame: Frame) -> int:
        seconds = frame.pts * frame.time_base
        if self._start_seconds is None:
            self._start_seconds = seconds
        ticks = round((seconds - self._start_seconds) * TICKS_A_SECOND)
        self._last_ticks = max(ticks, self._last_ticks + 1)
        return self._last_ticks

    def _access_unit(self, packet: av.Packet[Any]) -> EncodedPicture:
        content = bytes(packet)
        if packet.is_keyframe:
            content = self.headers + content
        return EncodedPicture(content, Fraction(packet.pts or 0, TICKS_A_SECOND), packet.is_keyframe)

    def _fitting(self, picture: Picture) -> Picture:
        size_wh = picture_size_wh(picture)
        if size_wh == self.size_wh:
            return picture
        width, height = self.size_wh
        if size_wh == self._announced_wh:  # odd: the last row or column is left out, which costs nothing
            if not isinstance(picture, Yuv420):
                return picture[:height, :width]
            return picture
        note = f"{self._shown}: frames came in another size than at the start; they were scaled to {width}x{height}"
        if note not in self.notes:
            self.notes.append(note)
        return picture

    def _opened(self, tags: ColourTags) -> VideoCodecContext:
        try:
            encoder = av.CodecContext.create("libx264", "w")
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(
                f"output {self._shown}: got an FFmpeg without libx264; expected one with it. Run pip install "
                f"--upgrade av."
            ) from error
        if not isinstance(encoder, VideoCodecContext):
            raise SinkError(f"output {self._shown}: got no video encoder; expected libx264. Please report this.")
        encoder.width, encoder.height = self.size_wh
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = Fraction(1, TICKS_A_SECOND)
        encoder.framerate = self.frame_rate
        encoder.gop_size = NEVER  # keys are set by time; see Note [Live encoding]
        encoder.thread_count = _threads(self.size_wh, self.frame_rate)
        encoder.flags |= Flags.global_header
        encoder.options = _x264_options(self.bitrate)
        tags.put_on(encoder)
        try:
            encoder.open()
        except (av.FFmpegError, ValueError) as error:
            width, height = self.size_wh
            raise SinkError(
                f"output {self._shown}: got {width}x{height}, which libx264 refuses ({_words(error)}); expected a size "
                f"it takes. Choose another."
            ) from error
        return encoder


def default_bitrate(size_wh: tuple[int, int], frame_rate: Fraction) -> int:
    """Return the ceiling of the bitrate, in bits a second, of a live picture of this size and rate."""
    rate_hz = min(60.0, max(5.0, float(frame_rate)))
    return round(min(MOST_BITRATE, max(LEAST_BITRATE, size_wh[0] * size_wh[1] * rate_hz * BITS_A_PIXEL)))


def _threads(size_wh: tuple[int, int], frame_rate: Fraction) -> int:
    """Return how many threads share a picture: one where that is enough, since the others wait for the last of them."""
    pixels_a_second = size_wh[0] * size_wh[1] * float(frame_rate)
    return 1 + min(MOST_THREADS - 1, int(pixels_a_second / PIXELS_A_SECOND_OF_A_THREAD))


def _x264_options(bitrate: int) -> dict[str, str]:
    return {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "high",
        "crf": str(QUALITY_CRF),
        "maxrate": str(bitrate),
        "bufsize": str(round(bitrate * VBV_SECONDS)),
        "forced-idr": "1",
        "x264-params": "scenecut=0",
    }


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
