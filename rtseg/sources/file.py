"""Video files: anything that PyAV reads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import av
from av.codec.hwaccel import HWAccel

from rtseg.errors import ConfigError, DecodeError, SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.decoding import VideoPass, is_cover_art
from rtseg.sources.describing import describe_file
from rtseg.sources.naming import check_is_file, count_of, was_or_were
from rtseg.sources.pixels import PictureReader
from rtseg.sources.timestamps import PtsMender
from rtseg.types import Frame

REPLAY_LIMIT_PX: Final = 1_000_000_000
"""A careful pass starts over when at most so many pixels were given before the trouble; beyond, it seeks."""


class FileSource(Source):
    """The default video stream of a file: every frame that decodes, in presentation order.

    Threading: see `Source`. Decoding itself runs on the decoder's own threads and releases the GIL.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        thread_count: int = 0,
        source_id: str | None = None,
    ) -> None:
        """Describe what to read; nothing is opened yet.

        Args:
            path: the file.
            start_seconds: where to start, counted from the beginning of the file.
            duration_seconds: how much to read; None is up to the end.
            thread_count: decoder threads; 0 chooses by the number of cores.
            source_id: name in stats and file names; None is the file name without its suffix.

        Raises:
            ConfigError: a time or count that cannot be right.
        """
        super().__init__()
        if not start_seconds >= 0 or (duration_seconds is not None and not duration_seconds > 0) or thread_count < 0:
            raise ConfigError(
                f"file source: got start {start_seconds} s, duration {duration_seconds} s, {thread_count} threads; "
                "expected a start of 0 s or more, a duration above 0 s, 0 threads or more. Change the value."
            )
        self._path = Path(path)
        self._start_seconds = float(start_seconds)
        self._duration_seconds = None if duration_seconds is None else float(duration_seconds)
        self._is_whole = not start_seconds and duration_seconds is None
        self._thread_count = thread_count
        self._source_id = source_id or self._path.stem
        self._info: SourceInfo | None = None
        self._pass: VideoPass | None = None
        self._pictures = PictureReader()
        self._accelerator: HWAccel | None = None
        self._decoded: Iterator[av.VideoFrame] = iter(())
        self._damaged = 0
        self._read_errors = 0
        self._resized_at: int | None = None

    @property
    def info(self) -> SourceInfo:
        """What is known of the file. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError(f"{self._path.name}: got a source that is not open; expected open() first. Open it.")
        return self._info

    def files(self) -> Sequence[Path]:
        """Return the video file."""
        return (self._path,)

    def open(self) -> None:
        """Open the file and decode its first frame, from which size, orientation and colour are known.

        Raises:
            SourceError: it does not exist, is no media file, or has no video in the asked-for span.
            DecodeError: it has a video stream of which no frame can be decoded.
        """
        check_is_file(self._path)
        video = self._start_pass()
        decoded = self._decode(video)
        try:
            first = next(decoded, None)
            if first is None:
                raise self._no_picture()
            self._info = describe_file(
                self._pass or video, first, path=self._path, source_id=self._source_id, whole=self._is_whole
            )
        except SourceError:
            self.close()
            raise
        self._decoded = itertools.chain((first,), decoded)

    def frames(self) -> Iterator[Frame]:
        """Yield every frame of the span that decodes; pts strictly rise, troubles are counted in `counters`."""
        info = self.info
        mender = PtsMender(time_base=info.time_base, frame_rate=info.frame_rate)
        decoded, self._decoded = self._decoded, iter(())
        counters = self.counters
        for frame_index, picture in enumerate(decoded):
            captured_ns = time.monotonic_ns()
            frame = Frame(
                picture=self._pictures.read(picture),
                frame_index=frame_index,
                pts=mender.mend(picture.pts),
                time_base=info.time_base,
                captured_ns=captured_ns,
                source_id=info.source_id,
                duration=picture.duration or None,
            )
            counters.decoded = frame_index + 1
            counters.mended_pts = mender.mended
            self._damaged += picture.is_corrupt
            if self._resized_at is None and frame.size_wh != info.size_wh:
                self._resized_at = frame_index
            del picture  # else the frame's buffer stays in use until the next one is decoded
            yield frame
        self._note_troubles()

    def close(self) -> None:
        """Close the file; idempotent. Frames already given stay valid."""
        self._decoded = iter(())
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _start_pass(self, *, careful: bool = False, resume_after_pts: int | None = None) -> VideoPass:
        if self._pass is not None:
            self._pass.close()
        self._pass = VideoPass(
            self._path,
            start_seconds=self._start_seconds,
            duration_seconds=self._duration_seconds,
            careful=careful,
            resume_after_pts=resume_after_pts,
            thread_count=self._thread_count,
            accelerator=self._accelerator,
        )
        return self._pass

    def _decode(self, fast: VideoPass) -> Iterator[av.VideoFrame]:
        """Yield decoded frames; see Note [Two passes] in rtseg/sources/decoding.py."""
        pixels = 0
        for frame in fast.frames():
            pixels += frame.width * frame.height
            yield frame
        self._take_counts(fast)
        if not fast.incomplete:
            return
        can_resume = fast.last_raw_pts is not None and (not fast.errors or pixels > REPLAY_LIMIT_PX)
        careful = self._start_pass(careful=True, resume_after_pts=fast.last_raw_pts if can_resume else None)
        for frame in itertools.islice(careful.frames(), 0 if can_resume else fast.given, None):
            yield frame
            self.counters.decode_errors = careful.errors
        self._take_counts(careful)

    def _take_counts(self, video: VideoPass) -> None:
        self.counters.decode_errors = video.errors
        self._read_errors = video.read_errors

    def _no_picture(self) -> SourceError:
        if self._start_seconds or self._duration_seconds is not None:
            return SourceError(
                f"{self._path.name}: got no frame from {self._start_seconds:g} s on; expected a start inside the "
                "video. Choose an earlier start."
            )
        errors = self.counters.decode_errors
        why = f"{count_of(errors, 'broken packet')}" if errors else "a header without frames"
        return DecodeError(
            f"{self._path.name}: got {why} and no frame that decodes; expected at least one. "
            "The file is empty, damaged or encrypted: get a complete copy."
        )

    def _note_troubles(self) -> None:
        counters, video = self.counters, self._pass
        skipped, mended, damaged = counters.decode_errors, counters.mended_pts, self._damaged
        troubles = {
            f"{count_of(skipped, 'broken packet')} {was_or_were(skipped)} skipped.": skipped,
            f"The file could not be read in {count_of(self._read_errors, 'place')}.": self._read_errors,
            f"The decoder calls {count_of(damaged, 'frame')} damaged.": damaged,
            f"{count_of(mended, 'missing or wrong frame time')} {was_or_were(mended)} mended.": mended,
            f"The picture size changes, first at frame {self._resized_at}.": self._resized_at is not None,
            "The only picture in the file is its cover art.": video is not None and is_cover_art(video.stream),
        }
        counters.notes.extend(sentence for sentence, met in troubles.items() if met)
        if video is not None and self._is_whole:
            promised, shown = video.stream.frames, counters.decoded + video.discarded
            if promised > shown:
                counters.notes.append(f"The header promises {count_of(promised, 'frame')}, {shown} were found.")
