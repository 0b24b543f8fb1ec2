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
    """Frames of a live source that were the same picture as the one before, but for what coding changes."""
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

    @property
    def can_reopen(self) -> bool:
        """True where `open()` may follow `close()`, to find a lost source again; number and time then go on."""
        return False

    @property
    def usual_gap_seconds(self) -> float:
        """How long frames may stay away with nothing wrong (segments of HLS); 0: no longer than their rate says."""
        return 0.0

    def interrupt(self) -> None:  # noqa: B027  most sources never wait for long
        """Make an `open` or a read that waits in another thread end soon, with a SourceError. From any thread."""

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


@dataclass(frozen=True, slots=True, eq=False)
class CodedPacket:
    """One coded picture of a live source, not decoded yet."""

    payload: object
    """The decoder's own."""
    arrived_ns: int
    """time.monotonic_ns() when it had arrived, or was due, where the sender sends ahead of time."""
    is_keyframe: bool
    """True where decoding can begin with it."""
    size_bytes: int
    """Coded size."""


class PacketSource(Source):
    """A live source whose packets are read in one thread and decoded in another, so that lag shows as a queue.

    Threading: `packets()` belongs to one thread; `decode`, `skip_disposable` and `restart_decoder` to another.
    """

    @abstractmethod
    def packets(self) -> Iterator[CodedPacket]:
        """Yield the coded pictures as they arrive.

        Raises:
            SourceError: the connection was lost, or the stream ended.
        """

    @abstractmethod
    def decode(self, packet: CodedPacket) -> Sequence[Frame]:
        """Return the frames that come out of the decoder with this packet; broken ones are skipped and counted."""

    @abstractmethod
    def skip_disposable(self, skip: bool) -> None:
        """Leave out, or no longer, the pictures that no other one refers to."""

    @abstractmethod
    def restart_decoder(self) -> None:
        """Forget what was decoded so far; the next packet must be a key frame."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, read and decoded in one thread."""
        for packet in self.packets():
            yield from self.decode(packet)
