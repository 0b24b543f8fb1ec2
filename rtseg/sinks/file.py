"""The file sink: encoded video, the source's sound, exact times, and never half a file under the final name.

Times: see Note [Output time] in rtseg/sinks/clock.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rtseg.errors import SinkError
from rtseg.sinks import placing
from rtseg.sinks.audio import SOUND_ERRORS, AudioTrack
from rtseg.sinks.base import Sink, StreamFormat, is_same_file
from rtseg.sinks.clock import GUESSED_RATE, DecodeTimes, OutputClock, tick_seconds_of
from rtseg.sinks.codecs import EncoderPlan, check_codec, check_quality, container_of, plan_encoder
from rtseg.sinks.feed_track import FeedTrack
from rtseg.sinks.live_sound import FeedSound, reason_of
from rtseg.sinks.painter import ColourTags, FramePainter
from rtseg.types import Frame, Segmentation


class FileSink(Sink):
    """Writes one video file: temporary name first, moved in place when finished.

    Frames of another size than the stream's are fitted into it (letterbox). Encoding and writing release the GIL.
    """

    name = "file"

    def __init__(
        self,
        path: str | Path,
        *,
        codec: str | None = None,
        quality: float | None = None,
        overwrite: bool = False,
        encode_threads: int | None = None,
    ) -> None:
        """Check what can be checked without the stream.

        Args:
            path: the video file; its extension chooses the container (.mp4, .m4v, .mov, .mkv, .webm).
            codec: h264, h265, vp9, av1 or prores; None: the container's default.
            quality: 0 (small) to 100 (next to no loss); None: 70.
            overwrite: replace a file that exists.
            encode_threads: threads of the encoder; None: one a usable core, at most 16.

        Raises:
            ConfigError: extension, codec or quality is unknown.
        """
        self.path = Path(path)
        container_of(self.path)
        self._codec = check_codec(codec)
        self._quality = check_quality(quality)
        self._overwrite = overwrite
        self._threads = encode_threads
        self._temporary = placing.temporary_path(self.path)
        self._container: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: AudioTrack | FeedTrack | None = None
        self._painter: FramePainter | None = None
        self._clock = OutputClock(Fraction(1, 1000), start_seconds=0.0, frame_rate=None)
        self._stream: StreamFormat | None = None
        self._decode_times = DecodeTimes(frame_ticks=1)
        self._durations: dict[int, int] = {}
        self._written = 0
        self._says_other_size = False
        self._ended = False
        self._notes: list[str] = []
        self._outputs: list[Path] = []

    @property
    def notes(self) -> Sequence[str]:
        """What was done otherwise than asked."""
        return (*self._notes, *self._clock.notes, *(self._audio.notes if self._audio else ()))

    @property
    def outputs(self) -> Sequence[Path]:
        """The file in place: the final one, or the partial one."""
        return tuple(self._outputs)

    @property
    def target(self) -> Path:
        """The final file."""
        return self.path

    @property
    def growing_path(self) -> Path:
        """The file as it grows, under its temporary name, until `close` or `abort` moves it."""
        return self._temporary

    def would_replace(self, path: Path) -> bool:
        """Find out whether `path` is the final file, or the partial one that a failure would leave."""
        return any(is_same_file(own, path) for own in (self.path, placing.partial_path(self.path)))

    def open(self, stream: StreamFormat) -> None:
        """Open encoder and temporary file, and write the header.

        Raises:
            SinkError: the file cannot be written there, or the encoder refuses the size.
            ConfigError: the codec does not hold this size or transparency.
        """
        if self._container is not None or self._ended:
            raise SinkError(f"output {self.path}: got a second open; expected one. Make a new sink.")
        placing.check_place(self.path, overwrite=self._overwrite)
        plan = plan_encoder(
            self.path,
            codec=self._codec,
            quality=self._quality,
            size_wh=stream.size_wh,
            has_alpha=stream.has_alpha,
            threads=self._threads,
        )
        tags = ColourTags(
            matrix=stream.matrix,
            full_range=stream.full_range and not plan.limited_only,
            primaries=stream.color_primaries,
            transfer=stream.color_transfer,
        )
        self._stream = stream
        self._clock = OutputClock(
            tick_seconds_of(stream.time_base),
            start_seconds=stream.start_seconds,
            frame_rate=stream.frame_rate,
        )
        self._decode_times = DecodeTimes(frame_ticks=self._clock.frame_ticks)
        self._painter = FramePainter(size_wh=stream.size_wh, pixel_format=plan.pixel_format, tags=tags)
        try:
            self._open_container(plan, stream, tags)
        except BaseException:
            self.abort()
            raise

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Encode one frame.

        Raises:
            SinkError: encoding or writing failed.
        """
        del result
        if self._painter is None or self._video is None or self._ended:
            raise SinkError(f"output {self.path}: got a frame while not open; expected open() first. Open the sink.")
        self._note_other_size(frame)
        picture = self._painter.video_frame(frame.picture)
        picture.time_base = self._clock.tick_seconds
        ticks, duration_ticks = self._clock.stamp(frame)
        picture.pts = ticks
        self._durations[ticks] = duration_ticks
        if self._written == 0:
            self._begin_audio()
        with self._disk_errors():
            for packet in self._encoder.encode(picture):
                self._mux_video(packet)
        self._written += 1

    def close(self) -> None:
        """Finish the file and move it in place; without a single frame, leave no file.

        Raises:
            SinkError: the end could not be written, or another file has taken the name meanwhile; what there is is
                then kept as a partial file.
        """
        self._close(cut=False)

    def _close(self, *, cut: bool) -> None:
        """Finish the file; with `cut` the sound ends with the picture, though the source has more."""
        if self._ended:
            return
        try:
            self._finish(cut=cut)
            if self._written:
                placing.move_into_place(self._temporary, self.path, overwrite=self._overwrite)
                self._outputs.append(self.path)
        except BaseException:
            self._salvage()
            raise
        finally:
            self._ended = True
        self._temporary.unlink(missing_ok=True)

    def abort(self) -> None:
        """End after a failure: keep what is playable as NAME.partial.EXT, leave no other file."""
        if self._ended:
            return
        self._ended = True
        try:
            self._finish(cut=True)
        except (SinkError, av.FFmpegError, OSError) as error:
            self._notes.append(f"the end of {self.path.name} could not be written ({error})")
        self._salvage()

    @property
    def _encoder(self) -> VideoCodecContext:
        if self._video is None:
            raise SinkError(f"output {self.path}: got no encoder; expected open() first. Open the sink.")
        return self._video.codec_context

    def _open_container(self, plan: EncoderPlan, stream: StreamFormat, tags: ColourTags) -> None:
        options = {"avoid_negative_ts": "disabled"}
        if plan.muxer in ("mp4", "mov"):
            options["movie_timescale"] = str(_movie_timescale(self._clock.tick_seconds))
        with self._disk_errors():
            self._temporary.touch()
            self._container = av.open(
                str(self._temporary.absolute()), "w", format=plan.muxer, container_options=options
            )
        with self._encoder_errors(plan, stream):
            self._video = _add_video(self._container, plan, stream, self._clock.tick_seconds, tags)
            self._video.codec_context.open()
        self._audio, notes = self._attach_audio(stream, self._container)
        self._notes.extend(notes)
        with self._disk_errors():
            self._container.start_encoding()

    def _attach_audio(
        self, stream: StreamFormat, container: OutputContainer
    ) -> tuple[AudioTrack | FeedTrack | None, list[str]]:
        """Return the sound that goes along, added to the container, and notes; None: there is none."""
        if stream.audio_path is not None:
            return AudioTrack.attach(stream.audio_path, container)
        if stream.audio_feed is None:
            return None, []
        try:
            source = FeedSound(stream.audio_feed)
        except SOUND_ERRORS as error:
            return None, [f"the audio was left out ({reason_of(error)})"]
        return FeedTrack.attach(source, container)

    def _note_other_size(self, frame: Frame) -> None:
        if self._says_other_size or self._stream is None or frame.size_wh == self._stream.size_wh:
            return
        self._says_other_size = True
        width, height = self._stream.size_wh
        self._notes.append(f"frames came in another size than at the start; they were fitted into {width}x{height}")

    def _begin_audio(self) -> None:
        if self._audio is not None and self._stream is not None:
            self._audio.begin(
                shift_seconds=self._clock.shift_seconds,
                start_seconds=self._stream.start_seconds,
                end_seconds=self._stream.end_seconds,
            )

    def _mux_video(self, packet: av.Packet[Any], *, last: bool = False) -> None:
        if self._container is None or self._video is None:
            return
        packet.stream = self._video
        packet.duration = self._durations.pop(packet.pts or 0, 0)
        self._decode_times.mend_first(packet)
        if last:
            self._decode_times.mend_last(packet, self._clock.end_ticks)
        if self._audio is not None and packet.dts is not None:
            self._audio.advance(self._container, float(packet.dts * self._clock.tick_seconds))
        try:
            self._container.mux_one(packet)
        except av.FFmpegError as error:
            # The muxer may stumble over queued sound only now, when a picture comes; see Note [Audio never kills ...].
            if self._audio is None or self._audio.failed:
                raise
            self._audio.fail(error)

    def _finish(self, *, cut: bool) -> None:
        """Flush encoder and sound, write the trailer, and let go of everything, whatever fails on the way."""
        try:
            with self._disk_errors():
                if self._written and self._container is not None:
                    rest = self._encoder.encode(None)
                    for index, packet in enumerate(rest, start=1):
                        self._mux_video(packet, last=index == len(rest))
                    if self._audio is not None:
                        self._audio.finish(self._container, self._clock.end_seconds, cut=cut)
        finally:
            self._release()

    def _release(self) -> None:
        container, self._container = self._container, None
        audio, self._video, self._painter = self._audio, None, None
        try:
            if container is not None:
                with self._disk_errors():
                    container.close()
        finally:
            if audio is not None:
                audio.close()

    def _salvage(self) -> None:
        """Keep the temporary file under the partial name where it can be played; remove it otherwise."""
        if self._written and is_playable(self._temporary):
            partial = placing.partial_path(self.path)
            try:
                os.replace(self._temporary, partial)
                self._outputs.append(partial)
            except OSError as error:
                self._notes.append(f"{partial.name} could not be made ({error.strerror})")
        self._temporary.unlink(missing_ok=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise placing.write_error(self.path, error) from error

    @contextmanager
    def _encoder_errors(self, plan: EncoderPlan, stream: StreamFormat) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            width, height = stream.size_wh
            raise SinkError(
                f"encoder {plan.encoder} for {self.path.name}: got {width}x{height} {plan.pixel_format}, which it "
                f"refuses ({getattr(error, 'strerror', None) or error}); expected a size it takes. "
                f"Choose another codec or size."
            ) from error


def _movie_timescale(tick_seconds: Fraction) -> int:
    """Return the time scale of the whole movie, so that edits fall on the ticks that the muxer gives the track."""
    scale = tick_seconds.denominator
    while scale < 10_000:
        scale *= 2
    return scale


def _add_video(
    container: OutputContainer,
    plan: EncoderPlan,
    stream: StreamFormat,
    tick_seconds: Fraction,
    tags: ColourTags,
) -> VideoStream:
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings to stderr otherwise
    rate = (stream.frame_rate or GUESSED_RATE).limit_denominator(100_000)
    gpu = HWAccel("cuda", options={"primary_ctx": "1"}) if plan.on_gpu else None
    options = dict(plan.options)
    video = container.add_stream(plan.encoder, rate=rate, options=options, hwaccel=gpu, time_base=tick_seconds)
    if not isinstance(video, VideoStream):
        raise ValueError(f"{plan.encoder} is not a video encoder")
    encoder = video.codec_context
    encoder.width, encoder.height = stream.size_wh
    encoder.pix_fmt = plan.pixel_format
    encoder.thread_count = plan.thread_count
    tags.put_on(encoder)
    if plan.codec_tag is not None:
        encoder.codec_tag = plan.codec_tag
    if plan.codec == "vp9" and plan.pixel_format == "yuva420p":
        video.metadata["alpha_mode"] = "1"
    return video


def is_playable(path: Path) -> bool:
    """Find out whether the first picture of the file can be decoded."""
    try:
        with av.open(str(path.absolute())) as container:
            return next(iter(container.decode(video=0)), None) is not None
    except (av.FFmpegError, OSError, IndexError):
        return False
