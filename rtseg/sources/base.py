"""The contract of a source: where frames come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from rtseg.audio_feed import AudioFeed
from rtseg.types import Frame, Matrix

SourceKind = Literal["file", "images", "camera", "stream", "screen", "synthetic"]
SourceState = Literal["connecting", "live", "stalled", "reconnecting", "frozen", "ended"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source once it is open; numbers that a header states are promises, not facts."""

    source_id: str
    """Short name for stats, file names and the HUD, without credentials or folders."""
    kind: SourceKind
    """What sort of source this is."""
    live: bool
    """True where frames arrive whether or not anybody takes them; decides the default policy."""
    size_wh: tuple[int, int]
    """Displayed size in pixels: after rotation, square pixels assumed."""
    time_base: Fraction
    """Seconds a unit of the frames' pts."""
    frame_rate: Fraction | None = None
    """Average or nominal frames a second; None where unknown."""
    frame_count: int | None = None
    """Frames expected, for a progress bar only; None where unknown."""
    duration_seconds: float | None = None
    """Length expected, for a progress bar only; None where unknown."""
    start_seconds: float = 0.0
    """Where in the file reading starts (`--start`); frames keep the pts of the file."""
    end_seconds: float | None = None
    """Where in the file reading ends (`--start` + `--duration`); None: at its end."""
    matrix: Matrix = "bt601"
    """Colour matrix of the stream as it will be understood."""
    full_range: bool = False
    """Colour range of the stream as it will be understood."""
    color_primaries: str | None = None
    """Colour primaries that the stream states, a name of `color.PRIMARIES_CODES` ("bt2020"); None: unknown."""
    color_transfer: str | None = None
    """Transfer curve that the stream states, a name of `color.TRANSFER_CODES` ("smpte2084"); None: unknown."""
    path: Path | None = None
    """The file itself, where there is one (a sink copies its audio from there)."""
    has_audio: bool = False
    """True where the file has at least one audio stream."""
    details: dict[str, str] = field(default_factory=dict)
    """Codec, pixel format, rotation and the like, for stats and `--debug`."""


@dataclass(slots=True)
class SourceCounters:
    """What a source had to mend or skip so far."""

    decoded: int = 0
    """Frames that came out of the decoder (inside the asked-for time span)."""
    decode_errors: int = 0
    """Packets that could not be decoded and were skipped."""
    mended_pts: int = 0
    """Frames whose pts was missing, repeated or ran backwards and was mended."""
    reconnects: int = 0
    """Times that a live source was lost and found again."""
    dropped_decode: int = 0
    """Frames that were skipped, undecoded, because decoding fell behind a live source."""
    repeated: int = 0
    """Frames of a live source that were the same picture as the one before, to the byte."""
    notes: list[str] = field(default_factory=list)
    """One plain sentence for each kind of trouble met, ready to be shown as a warning at the end."""


class Source(ABC):
    """Where frames come from: a context manager that is opened once and iterated once.

    Threading: a source is passive and belongs to one thread at a time; `close()` may be called from another thread
    after the iterating thread has ended.
    """

    def __init__(self) -> None:
        self.counters = SourceCounters()

    @property
    @abstractmethod
    def info(self) -> SourceInfo:
        """What is known of the source. Raises SourceError before `open()`."""

    @abstractmethod
    def open(self) -> None:
        """Open the source and read what its header says.

        Raises:
            SourceError: it does not exist, cannot be read, or has no picture in it.
        """

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """Yield the frames in presentation order, each with read-only pixels and pts strictly rising.

        Raises:
            DecodeError: the source ended and not one frame could be decoded.
        """

    @property
    def state(self) -> SourceState:
        """What the source is doing at the moment. Threading: may be read from any thread."""
        return "live"

    @property
    def state_detail(self) -> str:
        """One line about the state ("no frame for 2.0 s"), without credentials; empty where there is nothing to say.

        Threading: may be read from any thread.
        """
        return ""

    @property
    def audio(self) -> AudioFeed | None:
        """The sound of a live source on the timeline of its frames, once it is open; None: it has none, or a file."""
        return None

    def files(self) -> Sequence[Path]:
        """Return the files that it reads, known before `open()`; none where it reads no file."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Release everything; idempotent."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
