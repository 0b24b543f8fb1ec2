"""Several sources through one engine: pictures that come at about the same time are inferred together.

A batch leaves when it is full, when every source that takes part has a picture in it, or when its oldest picture has
waited for the length of the window; so a slow source, or one that stands still, costs the others at most the window.
Where more pictures wait than a batch holds, each source gives one before any gives a second.

`BatchWindow` decides, with a clock that is given; `Batcher` has the thread. Every source gets its results in the order
of its pictures. A batch that fails is tried again picture by picture, so that one picture fails one source only.

`join` is the way in: the stages of several pipelines that have the same engine, one for several pictures, get a `Lane`
of it each, and with that an engine for one picture at a time. What is batched is the queueing: a lane's thread waits
until its picture has left with a batch, never for the device.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from rtseg.errors import ConfigError, InferenceError, RtsegError

if TYPE_CHECKING:  # torch is loaded when a lane is opened, not before
    from rtseg.backends.device import DeviceEngine
    from rtseg.cuda.batched import BatchedContext, BatchedEngine

Input = TypeVar("Input")
Output = TypeVar("Output")
Waiting = TypeVar("Waiting")
Taken = TypeVar("Taken", contravariant=True)
Given = TypeVar("Given", covariant=True)

WINDOW_SECONDS: Final = 0.004
"""An eighth of a frame at 30 frames a second: what a source may be delayed so that others can join."""


MOST_BATCHED: Final = 8
"""Sources that share one engine's batches; more would wait for each other longer than a batch saves."""


def batch_for(sources: int, *, at_once: bool) -> int:
    """Return how many pictures an engine on a GPU should take: one of each source that runs at once, up to a limit."""
    return max(1, min(sources, MOST_BATCHED)) if at_once else 1


class BatchWindow(Generic[Waiting]):
    """Decides which pictures leave together, and when. Threading: the caller's lock."""

    def __init__(
        self, *, most: int, wait_seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the limits.

        Args:
            most: pictures in a batch.
            wait_seconds: how long the oldest picture waits for others; 0: not at all.
            clock: returns seconds.

        Raises:
            ConfigError: a limit that cannot be right.
        """
        if most < 1 or wait_seconds < 0:
            raise ConfigError(
                f"batch window: got {most} pictures and {wait_seconds:g} s; expected at least 1 and 0 s. Change it."
            )
        self.most = most
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._queues: dict[int, deque[tuple[float, Waiting]]] = {}

    def join(self, source: int) -> None:
        """Count a source among those that a batch waits for."""
        self._queues[source] = deque()

    def leave(self, source: int) -> list[Waiting]:
        """Count it no longer; return what it still had waiting."""
        return [item for _, item in self._queues.pop(source, ())]

    def add(self, source: int, item: Waiting) -> None:
        """Let a picture of a source wait. Raises KeyError where the source has not joined."""
        self._queues[source].append((self._clock(), item))

    def due_in(self) -> float | None:
        """Return in how many seconds the next batch leaves, 0 for now; None: nothing waits."""
        oldest = min((queue[0][0] for queue in self._queues.values() if queue), default=None)
        if oldest is None:
            return None
        waiting = sum(len(queue) for queue in self._queues.values())
        if waiting >= self.most or all(self._queues.values()):
            return 0.0
        return max(0.0, oldest + self._wait_seconds - self._clock())

    def take(self) -> list[Waiting]:
        """Return the batch that leaves now, nothing where none does: of each source its oldest, then the next."""
        if self.due_in() != 0.0:
            return []
        batch: list[Waiting] = []
        while len(batch) < self.most and any(self._queues.values()):
            turn = sorted((queue for queue in self._queues.values() if queue), key=lambda queue: queue[0][0])
            batch += [queue.popleft()[1] for queue in turn[: self.most - len(batch)]]
        return batch


class BatchEngine(Protocol[Taken, Given]):
    """What infers several pictures at once."""

    def run(self, pictures: Sequence[Taken]) -> Sequence[Given]:
        """Return a result for every picture, in order. Raises InferenceError where that fails."""


class _Entry(Generic[Input, Output]):
    """One picture: waiting, in work, or over."""

    def __init__(self, picture: Input) -> None:
        self.picture = picture
        self.output: Output | None = None
        self.error: RtsegError | None = None
        self.over = threading.Event()

    def end(self, output: Output | None, error: RtsegError | None = None) -> None:
        self.output, self.error = output, error
        self.over.set()

    def result(self) -> Output:
        """Wait for the picture's batch and return its result.

        Raises:
            InferenceError: the engine failed on this picture, or the batcher was closed.
        """
        self.over.wait()
        if self.error is not None:
            raise self.error
        if self.output is None:
            raise InferenceError("batch: got no result for a picture; expected one. Please report this.")
        return self.output


class Batcher(Generic[Input, Output]):
    """The thread that fills batches from several sources and runs them.

    Threading: `join` and `close` from any thread; each source from its own.
    """

    def __init__(self, engine: BatchEngine[Input, Output], window: BatchWindow[_Entry[Input, Output]]) -> None:
        self._engine = engine
        self._window = window
        self._changed = threading.Condition()
        self._sources = 0
        self._closed = False
        self.batches: list[int] = [0] * (window.most + 1)
        """How many batches of each size have run; for stats."""
        self._thread = threading.Thread(target=self._serve, name="rtseg-batch", daemon=True)
        self._thread.start()

    def join(self) -> BatchedSource[Input, Output]:
        """Return a place for a source; a batch waits for it from now on until it leaves."""
        with self._changed:
            self._sources += 1
            self._window.join(self._sources)
            return BatchedSource(self, self._sources)

    def close(self) -> None:
        """End the thread; what waits fails. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _submit(self, source: int, picture: Input) -> _Entry[Input, Output]:
        entry: _Entry[Input, Output] = _Entry(picture)
        with self._changed:
            if self._closed:
                raise InferenceError("batch: got a picture after close(); expected it before. Make a new batcher.")
            self._window.add(source, entry)
            self._changed.notify_all()
        return entry

    def _leave(self, source: int) -> None:
        with self._changed:
            _fail(self._window.leave(source), "its source left")
            self._changed.notify_all()

    def _serve(self) -> None:
        while (batch := self._next_batch()) is not None:
            self.batches[len(batch)] += 1
            self._run(batch)

    def _next_batch(self) -> list[_Entry[Input, Output]] | None:
        with self._changed:
            while not self._closed:
                if batch := self._window.take():
                    return batch
                self._changed.wait(self._window.due_in())
            for source in range(1, self._sources + 1):
                _fail(self._window.leave(source), "the batcher was closed")
            return None

    def _run(self, batch: Sequence[_Entry[Input, Output]]) -> None:
        try:
            outputs = self._engine.run([entry.picture for entry in batch])
            for entry, output in zip(batch, outputs, strict=True):
                entry.end(output)
        except (RtsegError, RuntimeError, ValueError) as error:
            if len(batch) == 1:
                batch[0].end(None, _as_inference_error(error))
                return
            for entry in batch:
                if not entry.over.is_set():
                    self._run([entry])


class BatchedSource(Generic[Input, Output]):
    """One source's place in the batches."""

    def __init__(self, batcher: Batcher[Input, Output], number: int) -> None:
        self._batcher = batcher
        self._number = number

    def submit(self, picture: Input) -> _Entry[Input, Output]:
        """Let a picture wait for its batch; `result()` of what is returned waits for it.

        Raises:
            InferenceError: the batcher was closed.
        """
        return self._batcher._submit(self._number, picture)

    def leave(self) -> None:
        """Take no part any more: no batch waits for this source. Idempotent."""
        self._batcher._leave(self._number)


def _fail(entries: Sequence[_Entry[Input, Output]], why: str) -> None:
    for entry in entries:
        entry.end(None, InferenceError(f"batch: got no result, since {why}; expected it to stay. Run again."))


def _as_inference_error(error: Exception) -> RtsegError:
    if isinstance(error, RtsegError):
        return error
    wrapped = InferenceError(f"batch: got {type(error).__name__}: {error}; expected a result. Run with --debug.")
    wrapped.__cause__ = error
    return wrapped


@dataclass(slots=True)
class _Shared:
    """An engine that several lanes use at the moment."""

    engine: DeviceEngine
    batcher: Batcher[BatchedContext, BatchedContext]
    lanes: int = 0


_SHARED: Final[dict[int, _Shared]] = {}
_SHARED_LOCK: Final = threading.Lock()


class Lane:
    """One source's way through a shared engine. Threading: one thread, that of the source."""

    def __init__(self, shared: _Shared) -> None:
        from rtseg.cuda.batched import BatchedEngine, runtime_for

        self._shared = shared
        self._place: BatchedSource[BatchedContext, BatchedContext] | None = shared.batcher.join()
        runtime = runtime_for(shared.engine.device)
        self.engine: BatchedEngine = BatchedEngine(shared.engine, runtime, self._submit)
        """The engine as this source sees it: for one picture at a time."""

    @property
    def shared_engine(self) -> DeviceEngine:
        """The engine itself, which all lanes share."""
        return self._shared.engine

    @property
    def sizes(self) -> dict[int, int]:
        """How many batches of each size all lanes together have had."""
        return {size: count for size, count in enumerate(self._shared.batcher.batches) if count}

    def leave(self) -> None:
        """Take no part any more; the last one that leaves ends the batches. Idempotent."""
        place, self._place = self._place, None
        if place is None:
            return
        place.leave()
        with _SHARED_LOCK:
            self._shared.lanes -= 1
            if self._shared.lanes > 0:
                return
            del _SHARED[id(self._shared.engine)]
        self._shared.batcher.close()

    def _submit(self, picture: BatchedContext) -> None:
        if self._place is None:
            raise InferenceError("batch: got a picture of a lane that was left; expected none. Please report this.")
        self._place.submit(picture).result()


def join(engine: DeviceEngine, *, wait_seconds: float = WINDOW_SECONDS) -> Lane:
    """Return a lane of an engine for several pictures, shared with all others that join it meanwhile.

    Raises:
        EngineError: too little memory; the message says what was needed and what there is.
    """
    with _SHARED_LOCK:
        shared = _SHARED.get(id(engine))
        if shared is None:
            from rtseg.cuda.batched import BatchRunner, runtime_for

            runner = BatchRunner(engine, runtime_for(engine.device))
            window: BatchWindow[_Entry[BatchedContext, BatchedContext]] = BatchWindow(
                most=engine.batch, wait_seconds=wait_seconds
            )
            shared = _SHARED[id(engine)] = _Shared(engine, Batcher(runner, window))
        shared.lanes += 1
    return Lane(shared)
