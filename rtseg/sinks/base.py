"""The contract of a sink: where composited frames go to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from rtseg.audio_feed import AudioFeed
from rtseg.types import Frame, Matrix, Segmentation


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What a sink must know before the first frame."""

    source_id: str
    """Name of the source, for file names and window titles."""
    size_wh: tuple[int, int]
    """Displayed size of the frames in pixels."""
    time_base: Fraction
    """Seconds a unit of the frames' pts."""
    frame_rate: Fraction | None
    """Nominal frames a second; None where unknown."""
    classes: tuple[str, ...]
    """Class names of the model; the index is the label."""
    palette: tuple[tuple[int, int, int], ...]
    """RGB colour of every class."""
    has_alpha: bool = False
    """True where the composited pictures are RGBA (`cutout`)."""
    matrix: Matrix = "bt601"
    """Colour matrix of the source, which the sink keeps."""
    full_range: bool = False
    """Colour range of the source, which the sink keeps."""
    color_primaries: str | None = None
    """Colour primaries of the source, kept, a name of `color.PRIMARIES_CODES` ("bt2020"); None: unknown."""
    color_transfer: str | None = None
    """Transfer curve of the source, kept, a name of `color.TRANSFER_CODES` ("smpte2084"); None: unknown."""
    audio_path: Path | None = None
    """The file whose first audio stream goes along; None: no audio."""
    audio_feed: AudioFeed | None = None
    """The sound of a live source, encoded, on the timeline of the frames' pts; None: none."""
    start_seconds: float = 0.0
    """Source time that becomes time 0 of the output (`--start`)."""
    end_seconds: float | None = None
    """Source time at which the audio ends too; None: at its end."""


def is_same_file(first: Path, second: Path) -> bool:
    """Find out whether two paths lead to one existing file, by whatever names and links."""
    return first.exists() and second.exists() and first.samefile(second)


class Sink(ABC):
    """Where composited frames go to: opened once, written in order, then closed or aborted.

    Threading: one thread at a time. `write` must not keep the frame's pixels after it returns, unless it copies them.
    """

    name: str = "sink"
    """How the sink is called in stats and messages."""

    live: ClassVar[bool] = False
    """True where somebody else sets the pace (a peer in the network, a virtual camera). Such a sink may block, and
    runs on a thread and a bounded queue of its own; see rtseg/pipeline/sink_thread.py. It may be opened again after
    `abort`."""

    takes_held: ClassVar[bool] = True
    """False where a frame that is shown again while its source is silent (`Frame.held`) must not be written."""

    @abstractmethod
    def open(self, stream: StreamFormat) -> None:
        """Get ready for the first frame.

        Raises:
            SinkError: the place cannot be written to.
        """

    @abstractmethod
    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Take one composited frame and the segmentation it was made from (None where no model ran).

        Raises:
            SinkError: the frame could not be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the output and move it into place; idempotent."""

    def abort(self) -> None:
        """End after a failure or an interruption and keep, playable, what there is; idempotent."""
        self.close()

    @property
    def notes(self) -> Sequence[str]:
        """Plain sentences for the user about what was done otherwise than asked ("audio re-encoded …")."""
        return ()

    @property
    def outputs(self) -> Sequence[Path]:
        """The files or folders in place so far, for the closing message; empty before `close` or `abort`."""
        return ()

    @property
    def target(self) -> Path | None:
        """The file, folder or file name pattern that it will write, known before `open`; None: nothing on disk."""
        return None

    def would_replace(self, path: Path) -> bool:
        """Find out whether this sink would write over the file `path`, such as the source's own."""
        return self.target is not None and is_same_file(self.target, path)

    @property
    def live_facts(self) -> Mapping[str, Any]:
        """What a live sink has sent, dropped by cause, and how often its peer was lost; empty for any other.

        Threading: may be read from any thread.
        """
        return {}

    @property
    def wants_stop(self) -> bool:
        """True once the user has asked through the sink (a window's key) to end the run."""
        return False

    def interrupt(self) -> None:  # noqa: B027  most sinks never wait for a user
        """Return soon from a `write` that waits for the user (a paused window); may be called from any thread."""

    def cut(self) -> None:  # noqa: B027  only live sinks wait for a peer
        """Give up, at once, whatever `open`, `write` or `close` is waiting for; may be called from any thread."""

    def take_commands(self) -> Sequence[str]:
        """Return, once each, the commands given through the sink since the last call ("effect", "model")."""
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
