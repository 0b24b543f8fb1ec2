"""Recording without an end: files of a minute (or whatever is asked for), one after the other, the oldest removed.

Note [Segments]: every segment is a file of its own, written as `FileSink` writes: hidden while it grows, under its name
once it is whole. So each one in place can be played, and a process that is killed loses at most the one it was writing;
what it left behind is put right at the next start (`.mkv`, the default, can be played up to the end). The first picture
at or after the end of a segment begins the next, and the sound is parted at the same time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from av.audio.frame import AudioFrame
from av.container import OutputContainer

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks.audio import SOUND_ERRORS, AudioTrack
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.sinks.codecs import check_codec, check_quality, container_of, plan_encoder
from rtseg.sinks.feed_track import FeedTrack
from rtseg.sinks.file import FileSink, is_playable
from rtseg.sinks.live_sound import FeedSound, SoundSource, reason_of
from rtseg.sinks.placing import partial_path, write_error
from rtseg.types import Frame, Segmentation

DEFAULT_SECONDS: Final = 60.0
DEFAULT_SUFFIX: Final = ".mkv"
DEFAULT_NAME: Final = "%Y%m%d-%H%M%S-%05d"
ABANDONED_SECONDS: Final = 30.0
"""A hidden file that has not grown for so long is nobody's any more."""

_NUMBER: Final = re.compile(r"%0(\d)d")
_DATE: Final = re.compile(r"%[YmdHMS]")


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What `segments:` asks for."""

    folder: Path
    name: str
    """File name with the number as %05d, and parts of the time of the start as %Y %m %d %H %M %S."""
    seconds: float
    keep: int | None
    """How many finished files may lie there; None: all."""

    @property
    def suffix(self) -> str:
        """Extension, which chooses the container."""
        return Path(self.name).suffix

    def file(self, number: int, started: time.struct_time) -> Path:
        """Return the name of a segment."""
        return self.folder / time.strftime(_NUMBER.sub(lambda found: f"{number:0{found[1]}d}", self.name), started)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the stem of every file of this plan looks like; its group is the number."""
        text, place = "", 0
        stem = self.name.removesuffix(self.suffix)
        for found in re.finditer(rf"{_NUMBER.pattern}|{_DATE.pattern}", stem):
            text += re.escape(stem[place : found.start()]) + (r"(\d+)" if found[1] else r"\d+")
            place = found.end()
        return re.compile(text + re.escape(stem[place:]))


def parse_segments(text: str) -> SegmentPlan:
    """Return the plan in `DIR?seconds=60&keep=10&format=mp4`, or in a file name such as `DIR/cam-%05d.mp4?seconds=60`.

    Raises:
        ConfigError: there is no folder, or an option is unknown or cannot be right.
    """
    place, _, query = text.partition("?")
    if not place:
        raise ConfigError("sink segments: got no folder; expected segments:DIR. Name a folder.")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(given) - {"seconds", "keep", "format"}):
        raise ConfigError(f"sink segments: got {', '.join(unknown)}; expected seconds, keep or format. Drop the rest.")
    path = Path(place)
    named = "%" in path.name
    if named and not _NUMBER.search(path.name):
        raise ConfigError(f"sink segments: got the name {path.name}; expected a number in it. Write %05d into it.")
    suffix = f".{given['format'].lstrip('.')}" if "format" in given else DEFAULT_SUFFIX
    name = path.name if named else DEFAULT_NAME + suffix
    container_of(Path(name))
    return SegmentPlan(
        folder=path.parent if named else path,
        name=name,
        seconds=_number(given.get("seconds"), "seconds", DEFAULT_SECONDS, least=1.0),
        keep=int(_number(given["keep"], "keep", 0, least=1.0)) if "keep" in given else None,
    )


class SegmentsSink(Sink):
    """Writes one video file after the other into a folder. See Note [Segments]."""

    name = "segments"

    def __init__(self, plan: SegmentPlan, *, encode_threads: int | None = None, **options: Any) -> None:
        """Check what can be checked without the stream.

        Args:
            plan: where, how long, how many.
            encode_threads: threads of the encoder.
            options: `codec`, `quality` and `overwrite` of `FileSink`.

        Raises:
            ConfigError: codec or quality is unknown.
        """
        check_codec(options.get("codec"))
        check_quality(options.get("quality"))
        self.plan = plan
        self._options = {**options, "encode_threads": encode_threads}
        self._stream: StreamFormat | None = None
        self._sound: _SharedSound | None = None
        self._segment: SegmentFile | None = None
        self._next_cut = Fraction(0)
        self._number = 0
        self._started = time.localtime()
        self._has_output = False
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """What was done otherwise than asked, each thing once."""
        return tuple(dict.fromkeys([*self._notes, *(self._segment.notes if self._segment is not None else ())]))

    @property
    def outputs(self) -> Sequence[Path]:
        """The folder, once there is a segment in it: a long run has too many files to name."""
        return (self.plan.folder,) if self._has_output else ()

    @property
    def target(self) -> Path:
        """The folder."""
        return self.plan.folder

    def would_replace(self, path: Path) -> bool:
        """Find out whether `path` is a segment that could be removed to make room."""
        here = self.plan.folder
        return here.exists() and path.exists() and path.resolve().parent == here.resolve() and self._is_own(path)

    def open(self, stream: StreamFormat) -> None:
        """Make the folder, and put right what a killed process left there.

        Raises:
            SinkError: the folder cannot be made.
            ConfigError: the codec does not hold this size or transparency.
        """
        plan_encoder(
            Path(self.plan.name),
            codec=self._options.get("codec"),
            quality=self._options.get("quality"),
            size_wh=stream.size_wh,
            has_alpha=stream.has_alpha,
            threads=self._options["encode_threads"],
        )
        try:
            self.plan.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.plan.folder, error) from error
        self._stream = stream
        self._started = time.localtime()
        self._mend_abandoned()
        numbers = [int(found[1]) for path in self._finished() if (found := self.plan.pattern.fullmatch(path.stem))]
        self._number = max(numbers, default=-1) + 1
        self._sound = _SharedSound.of(stream, self._notes)

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Write one frame into the segment it belongs to.

        Raises:
            SinkError: it could not be written.
        """
        if self._stream is None:
            raise SinkError(f"segments {self.plan.folder}: got a frame while not open; expected open() first.")
        seconds = frame.pts * frame.time_base
        if self._segment is None or seconds >= self._next_cut:
            self._end_segment()
            self._begin_segment(self._stream, seconds)
        if self._segment is not None:
            self._segment.write(frame, result)

    def close(self) -> None:
        """Finish the last segment; idempotent."""
        self._stream = None
        try:
            self._end_segment()
        finally:
            self._let_go()

    def abort(self) -> None:
        """Keep what there is of the last segment as a partial file; idempotent."""
        self._stream = None
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.abort()
            self._keep_facts(segment)
        self._let_go()

    def _begin_segment(self, stream: StreamFormat, seconds: Fraction) -> None:
        path = self.plan.file(self._number, self._started)
        segment = SegmentFile(path, self._sound, **self._options)
        # The segment's time 0 is its first picture, to the tick.
        segment.open(replace(stream, start_seconds=float(seconds), audio_feed=None))
        self._segment = segment
        self._next_cut = seconds + Fraction(self.plan.seconds)
        self._number += 1

    def _end_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            segment.finish_cut()
        finally:
            self._keep_facts(segment)
        self._remove_oldest()

    def _keep_facts(self, segment: SegmentFile) -> None:
        self._has_output |= bool(segment.outputs)
        self._notes += [note for note in segment.notes if note not in self._notes]

    def _let_go(self) -> None:
        if self._sound is not None:
            self._sound.end()

    # ---- the folder -------------------------------------------------------------------------------------------

    def _is_own(self, path: Path) -> bool:
        return path.suffix == self.plan.suffix and self.plan.pattern.fullmatch(path.stem) is not None

    def _finished(self) -> list[Path]:
        return [path for path in self.plan.folder.iterdir() if self._is_own(path)]

    def _remove_oldest(self) -> None:
        if self.plan.keep is None:
            return
        ages: list[tuple[int, str, Path]] = []
        for path in self._finished():
            with suppress(OSError):  # somebody else has removed it
                ages.append((path.stat().st_mtime_ns, path.name, path))
        for _, _, path in sorted(ages)[: -self.plan.keep]:
            with suppress(OSError):
                path.unlink()

    def _mend_abandoned(self) -> None:
        """Give the hidden file of a killed process its partial name where it can be played; remove it otherwise."""
        hidden = re.compile(rf"\.({self.plan.pattern.pattern})\.rtseg-[0-9a-f]{{8}}")
        for path in list(self.plan.folder.iterdir()):
            found = hidden.fullmatch(path.stem)
            if found is None or path.suffix != self.plan.suffix or _is_growing(path):
                continue
            with suppress(OSError):
                if is_playable(path):
                    place = partial_path(path.with_name(found[1] + path.suffix))
                    path.replace(place)
                    self._notes.append(f"{place.name} is what a run that was killed had of its last segment")
                else:
                    path.unlink()


class SegmentFile(FileSink):
    """One segment: a file whose sound, where the source is live, comes from a reader that all segments share."""

    def __init__(self, path: Path, sound: _SharedSound | None, **options: Any) -> None:
        super().__init__(path, **options)
        self._shared = sound

    def finish_cut(self) -> None:
        """Finish the file with picture and sound ending together, and move it in place. Raises SinkError."""
        self._close(cut=True)

    def _attach_audio(
        self, stream: StreamFormat, container: OutputContainer
    ) -> tuple[AudioTrack | FeedTrack | None, list[str]]:
        if self._shared is None:
            return super()._attach_audio(stream, container)
        return FeedTrack.attach(self._shared, container)


class _SharedSound(SoundSource):
    """The sound of a live source through all segments; closing a segment does not close it."""

    def __init__(self, source: SoundSource) -> None:
        self.rate_hz, self.channels, self.what = source.rate_hz, source.channels, source.what
        self._source = source

    def until(self, seconds: float) -> Iterator[AudioFrame]:
        """Yield what the live source has, up to this time."""
        return self._source.until(seconds)

    @classmethod
    def of(cls, stream: StreamFormat, notes: list[str]) -> _SharedSound | None:
        """Return the live sound of the stream; None where there is none."""
        if stream.audio_feed is None:
            return None
        try:
            return cls(FeedSound(stream.audio_feed))
        except SOUND_ERRORS as error:
            notes.append(f"the audio was left out ({reason_of(error)})")
            return None

    def close(self) -> None:
        """Do nothing: the next segment goes on with it."""

    def end(self) -> None:
        """Let go of the feed."""
        self._source.close()


def _is_growing(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < ABANDONED_SECONDS
    except OSError:
        return True


def _number(text: str | None, name: str, default: float, *, least: float) -> float:
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= 1e6:
        raise ConfigError(f"sink segments: got {name}={text}; expected at least {least:g}. Give another.")
    return number
