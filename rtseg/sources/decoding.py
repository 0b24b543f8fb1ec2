"""One pass over the video packets of a file, packet by packet, so that one broken packet costs one packet.

Note [Two passes]: with frame threads the decoder reports a broken packet late, and PyAV then drops what the decoder
still holds (after the end of the file nothing can be asked of it any more). A fast pass therefore stops at the first
error, and a careful pass (slice threads only, which report an error with the packet it belongs to) takes over from
there. A sound file never sees the second pass.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from rtseg.errors import SourceError

MOST_READ_ERRORS_IN_A_ROW: Final = 64
"""After so many failed reads with no packet between them, the rest of the file is given up."""

_SEEK_MARGINS_SECONDS: Final = (0, 1, 10)
"""How far before the wanted time to land, in turn: key frames are found by decoding time, which runs ahead."""

_NO_FRAME_THREADS: Final = frozenset({"vp8"})
"""Decoders that, with frame threads, pass broken packets off as frames; they get the careful pass at once."""


def open_container(path: Path, *, accelerator: HWAccel | None = None) -> InputContainer:
    """Open a media file for reading, decoded by an accelerator where one is given.

    Raises:
        SourceError: it is no media file, or it cannot be read.
    """
    try:
        return av.open(f"file:{path}", mode="r", metadata_errors="replace", hwaccel=accelerator)
    except FFmpegError as error:
        raise SourceError(
            f"opening {path.name}: got {(error.strerror or str(error)).lower()}; expected a video that FFmpeg can "
            "read. Check that the file is complete and is a video."
        ) from error


def choose_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the video stream to show: the default one, FFmpeg's choice among several; cover art only in need.

    Raises:
        SourceError: there is no video stream with a decoder.
    """
    streams = container.streams.video
    if not streams:
        kinds = ", ".join(dict.fromkeys(stream.type for stream in container.streams)) or "no stream at all"
        raise SourceError(f"{name} has no video stream: got {kinds}; expected video. Give a file with pictures.")
    decodable = [stream for stream in streams if _has_decoder(stream)]
    if not decodable:
        raise SourceError(
            f"{name}: got a video stream that this FFmpeg has no decoder for; expected a known codec. "
            "Convert the file, for example to H.264."
        )
    moving = [stream for stream in decodable if not is_cover_art(stream)] or decodable
    default = [stream for stream in moving if stream.disposition & Disposition.default] or moving
    best = container.streams.best("video")
    return next((stream for stream in default if best is not None and stream.index == best.index), default[0])


def is_cover_art(stream: VideoStream) -> bool:
    """Return whether the stream is a picture attached to a recording, not a video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _has_decoder(stream: VideoStream) -> bool:
    return getattr(stream, "codec_context", None) is not None


class VideoPass:
    """Decodes the frames of one span of one file, once; it counts what it meets."""

    def __init__(
        self,
        path: Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        careful: bool = False,
        resume_after_pts: int | None = None,
        thread_count: int = 0,
        accelerator: HWAccel | None = None,
    ) -> None:
        """Open the file.

        Args:
            path: the file.
            start_seconds: where to start, counted from the beginning of the file.
            duration_seconds: how much to read; None is up to the end.
            careful: see Note [Two passes].
            resume_after_pts: give only frames later than this, in ticks of the stream.
            thread_count: decoder threads; 0 chooses by the number of cores.
            accelerator: the hardware that decodes; None: the CPU.

        Raises:
            SourceError: it cannot be opened or has no video stream.
        """
        self.container = open_container(path, accelerator=accelerator)
        try:
            self.stream = choose_stream(self.container, path.name)
        except SourceError:
            self.container.close()
            raise
        self._careful = careful or self.stream.codec_context.name in _NO_FRAME_THREADS
        self.stream.thread_type = "SLICE" if self._careful else "AUTO"
        self.stream.thread_count = thread_count or min(8, (os.cpu_count() or 1) + 1)
        self.time_base = self.stream.time_base or Fraction(1, 90_000)
        """Seconds a tick."""
        clock_start_seconds = (self.container.start_time or 0) / av.time_base
        self.start_seconds = clock_start_seconds + start_seconds if start_seconds else 0.0
        """Where the span starts, on the clock of the file; 0 without a start."""
        self.end_seconds = None if duration_seconds is None else clock_start_seconds + start_seconds + duration_seconds
        """Where the span ends, on the clock of the file; None: at the end of the file."""
        self._first_pts = self._ticks(self.start_seconds) if start_seconds else None
        self._end_pts = None if self.end_seconds is None else self._ticks(self.end_seconds)
        if resume_after_pts is not None:
            self._first_pts = resume_after_pts + 1
        self.given = 0
        """Frames given so far."""
        self.last_raw_pts: int | None = None
        """Time of the last frame given, as the file says, in ticks."""
        self._forget()

    def close(self) -> None:
        """Close the file; frames already given stay valid."""
        self.container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield the decoded frames of the span in presentation order; a fast pass ends at the first error."""
        for frame in self._from_first_pts():
            pts = frame.pts
            if pts is not None and self._end_pts is not None and pts >= self._end_pts:
                return
            if pts is not None and self._first_pts is not None and pts < self._first_pts:
                continue
            self.given += 1
            self.last_raw_pts = pts
            yield frame

    def _ticks(self, seconds: float) -> int:
        """Return the first tick at or after a time; a thousandth of a tick forgives what floats lose."""
        return math.ceil(Fraction(seconds) / self.time_base - Fraction(1, 1000))

    def _forget(self) -> None:
        self.errors = 0
        """Packets that could not be decoded."""
        self.read_errors = 0
        """Reads of the file that failed."""
        self.discarded = 0
        """Packets that the file itself marks as not to be shown."""
        self.incomplete = False
        """True where a fast pass met trouble: frames after the ones given may exist, see Note [Two passes]."""
        self._packets = 0
        self._decoded = 0

    def _from_first_pts(self) -> Iterator[av.VideoFrame]:
        target = self._first_pts
        if target is None:
            yield from self._decode_on()
            return
        file_start = self.stream.start_time or 0
        for margin_seconds in _SEEK_MARGINS_SECONDS:
            if not self._seek(max(file_start, target - math.ceil(margin_seconds / self.time_base))):
                break
            frames = self._decode_on()
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts <= target:
                yield first
                yield from frames
                return
        self._seek(file_start)
        yield from self._decode_on()

    def _seek(self, pts: int) -> bool:
        self._forget()
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
        except FFmpegError:
            return False
        return True

    def _decode_on(self) -> Iterator[av.VideoFrame]:
        for packet in self._read_packets():
            if packet.is_discard:
                self.discarded += 1
            else:
                self._packets += 1
            yield from self._decode(packet)
            if self.incomplete:
                return
        yield from self._decode(None)
        # An error in the last packets can hide behind frames that came out before it.
        if not self._careful and self._decoded < self._packets:
            self.incomplete = True

    def _decode(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
        try:
            frames = self.stream.codec_context.decode(packet)
        except (FFmpegError, ValueError, EOFError) as error:
            self.errors += 1
            self.incomplete = not self._careful
            if isinstance(error, BlockingIOError):  # a decoder that is stuck on an older packet takes no new one
                self.stream.codec_context.flush_buffers()
            return []
        self._decoded += len(frames)
        return frames

    def _read_packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets that hold something; an unreadable place is skipped, a dead file ends."""
        failures_in_a_row = 0
        while failures_in_a_row < MOST_READ_ERRORS_IN_A_ROW:
            try:
                for packet in self.container.demux(self.stream):
                    failures_in_a_row = 0
                    if packet.size:
                        yield packet
                return
            except FFmpegError:
                self.read_errors += 1
                failures_in_a_row += 1
