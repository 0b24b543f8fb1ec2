"""Several frames at once on a device: copy in, compute and copy out overlap, and results leave in order.

    copy in    host -> slot.inputs     [copied_in]
    compute                            waits for it, runs slot.work, [computed]
    copy out                           waits for that, slot.outputs -> host, [copied_out]

One slot is one set of device buffers with the work captured on them. The three streams are shared by all slots, so
that the copy engines and the arithmetic units each have a queue of their own, and events are the only thing that
orders one after the other. The host waits in one place: for `copied_out` of the frame it wants to have.

Nothing here knows a vendor: streams and events are protocols, `rtseg.cuda` implements them, and the tests have some
that finish out of order, late or with an error.

Note [What may be written when]
    `slot.staging` and `slot.inputs` are written for the next frame only after the host has seen `copied_out` of the
    frame before in that slot, which comes after its copy in and its compute. `slot.outputs` are written by compute,
    which waits for `copied_in` of the same frame and so comes later still. The host buffers of the results are leased
    (slots_ring.py), never those of a slot, so a slot is free as soon as its copy out is done, whoever holds the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from rtseg.errors import InferenceError, RtsegError
from rtseg.pipeline.slots_ring import HostBuffer, HostRing, Lease

LEAST_SLOTS: Final = 3
"""One frame copied in, one computed, one copied out."""
MOST_ATTEMPTS: Final = 2
"""How often a frame is tried, each time on another slot where there is one."""

Item = TypeVar("Item")


class Event(Protocol):
    """A mark in a stream; recorded again for every frame."""

    def done(self) -> bool:
        """Return whether the stream has passed the mark. Raises what went wrong before it."""

    def wait(self) -> None:
        """Wait on the host until the stream has passed the mark. Raises what went wrong before it."""

    def elapsed_ns(self, since: Any) -> int:
        """Return the device's time from another event of the same frame to this one."""


class Stream(Protocol):
    """A queue of work on a device, done in order; other streams know nothing of it."""

    def copy(self, target: Any, source: Any) -> None:
        """Queue a copy of one buffer into another of the same size."""

    def launch(self, work: Any) -> None:
        """Queue what was captured."""

    def record(self, event: Any) -> None:
        """Queue a mark."""

    def wait(self, event: Any) -> None:
        """Queue a wait for the mark as it was last recorded."""

    def synchronize(self) -> None:
        """Wait on the host until the queue is empty. Raises what went wrong in it."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The three queues that every slot shares."""

    copy_in: Stream
    compute: Stream
    copy_out: Stream


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """One set of device buffers, the work captured on them, and the marks between the streams."""

    name: str
    """For messages."""
    staging: Sequence[HostBuffer]
    """Page-locked host buffers for frames that lie in ordinary memory, one an input."""
    inputs: Sequence[Any]
    """Device buffers that the work reads."""
    outputs: Sequence[Any]
    """Device buffers that the work writes and that are copied out."""
    work: Any
    """What `Stream.launch` takes."""
    started: Event
    copied_in: Event
    computing: Event
    """The compute stream has come to this frame; before it was busy with others."""
    computed: Event
    copying_out: Event
    copied_out: Event


Feed = Callable[[Item, Slot], Sequence[Any]]
"""Returns what to copy into each of the slot's inputs: the slot's staging buffers, filled, or the frame's own memory
where a device can read that. What it returns has to stay as it is until the frame is collected."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished(Generic[Item]):
    """A frame that has come out."""

    item: Item
    """What was submitted."""
    lease: Lease
    """The host buffers with the results; see `Lease`."""
    copy_in_ns: int
    compute_ns: int
    copy_out_ns: int
    attempts: int
    """1, or more where a slot failed on it and another one did it."""


@dataclass(slots=True, eq=False)
class _Flight(Generic[Item]):
    """A frame on its way."""

    item: Item
    slot: Slot | None = None
    lease: Lease | None = None
    sources: Sequence[Any] = ()  # kept from being freed while the device may read them
    attempts: int = 0
    error: Exception | None = None
    finished: Finished[Item] | None = None
    unwanted: bool = False

    @property
    def over(self) -> bool:
        """True once there is a result, or nothing more will be tried."""
        tried_enough = self.unwanted or self.attempts >= MOST_ATTEMPTS
        return self.finished is not None or (self.slot is None and tried_enough)


_VENDOR_ERRORS: Final = (RuntimeError, RtsegError)
"""What streams and events raise: torch's errors are RuntimeErrors, `rtseg.cuda` turns known ones into rtseg's."""


class SlotScheduler(Generic[Item]):
    """Puts frames on slots and gives them back in the order they came.

    A slot that fails loses nobody else's frame: its own frame is tried again on another slot, in its own place in the
    order; the failing slot is emptied and used again, or retired where it cannot be. Only when a frame has failed
    `MOST_ATTEMPTS` times, or no slot is left, does `collect` raise, for that frame; the others can still be collected.

    Threading: one thread.
    """

    def __init__(self, slots: Sequence[Slot], streams: Streams, ring: HostRing, feed: Feed[Item]) -> None:
        """Take the slots over.

        Raises:
            InferenceError: fewer than three slots, or fewer sets of host buffers than slots.
        """
        if len(slots) < LEAST_SLOTS or ring.size < len(slots):
            raise InferenceError(
                f"slots: got {len(slots)} with {ring.size} sets of host buffers; expected at least {LEAST_SLOTS}, and "
                "a set for each. Make more."
            )
        self._slot_count = len(slots)
        self._idle: deque[Slot] = deque(slots)
        self._streams = streams
        self._ring = ring
        self._feed = feed
        self._flights: deque[_Flight[Item]] = deque()
        self.retired: list[str] = []
        """The slots that failed and could not be used again, each with the reason."""
        self.retried = 0
        """How many times a frame was tried again."""

    @property
    def in_flight(self) -> int:
        """How many frames are on their way, or finished and not collected."""
        return len(self._flights)

    @property
    def oldest(self) -> Item | None:
        """The frame that `collect` would give next; None where there is none."""
        return next((flight.item for flight in self._flights if not flight.unwanted), None)

    @property
    def has_room(self) -> bool:
        """True where `submit` need not wait; else collect first, since results that nobody takes hold host buffers."""
        self._forget_unwanted()
        return len(self._flights) < self._slot_count - len(self.retired) and bool(self._idle)

    def submit(self, item: Item) -> None:
        """Start on a frame; waits for a slot where none is free, see `has_room`.

        Raises:
            InferenceError: no slot is left to use, or the sinks hold all host buffers.
        """
        if not self._wait_for_a_slot():
            raise InferenceError(
                f"device: got no slot left to use ({'; '.join(self.retired)}); expected one. "
                "Run again; if it comes back, use --backend openvino."
            )
        flight = _Flight(item)
        self._start(flight)
        self._flights.append(flight)

    def collect(self, *, wait: bool = True) -> Finished[Item] | None:
        """Return the oldest frame; None where there is none, or none yet and `wait` is False.

        Raises:
            InferenceError: that frame failed on every try; the next call gives the next frame.
        """
        while self._flights:
            flight = self._flights[0]
            if not self._end(flight, wait=wait):
                return None
            self._flights.popleft()
            if not flight.unwanted:
                return _result_of(flight)
        return None

    def collect_newest(self, *, wait: bool = True) -> tuple[Finished[Item] | None, int]:
        """Return the newest frame that is done, and how many older ones are given up for it.

        Nobody waits for those that are given up; their slots come free by themselves.

        Raises:
            InferenceError: the newest frame failed on every try.
        """
        self._land_what_is_done()
        over = [flight for flight in self._flights if flight.over and not flight.unwanted]
        if not over:
            return self.collect(wait=wait), 0
        given_up = 0
        for flight in self._flights:
            if flight is over[-1]:
                break
            given_up += not flight.unwanted
            flight.unwanted = True
        self._flights = deque(f for f in self._flights if f is not over[-1] and not (f.unwanted and f.over))
        return _result_of(over[-1]), given_up

    def drain(self) -> None:
        """Wait for everything that is under way, and forget it; what failed is over too, so this never raises."""
        for flight in self._flights:
            flight.unwanted = True
        while self._flights:
            self._end(self._flights[0], wait=True)
            self._flights.popleft()

    # ---- starting ---------------------------------------------------------------------------------------------

    def _start(self, flight: _Flight[Item]) -> None:
        flight.lease = flight.lease or self._ring.lease()
        slot = self._idle.popleft()
        flight.attempts += 1
        try:
            flight.sources = self._feed(flight.item, slot)
        except BaseException:  # a frame that cannot be fed is its own fault, not the slot's
            self._idle.append(slot)
            raise
        flight.slot = slot
        try:
            self._enqueue(slot, flight.sources, flight.lease)
        except _VENDOR_ERRORS as error:
            self._slot_failed(flight, error)

    def _enqueue(self, slot: Slot, sources: Sequence[Any], lease: Lease) -> None:
        copy_in, compute, copy_out = self._streams.copy_in, self._streams.compute, self._streams.copy_out
        copy_in.record(slot.started)
        for target, source in zip(slot.inputs, sources, strict=True):
            copy_in.copy(target, source)
        copy_in.record(slot.copied_in)

        compute.wait(slot.copied_in)
        compute.record(slot.computing)
        compute.launch(slot.work)
        compute.record(slot.computed)

        copy_out.wait(slot.computed)
        copy_out.record(slot.copying_out)
        for buffer, output in zip(lease.buffers, slot.outputs, strict=True):
            copy_out.copy(buffer.handle, output)
        copy_out.record(slot.copied_out)

    def _start_again(self, flight: _Flight[Item], *, wait: bool) -> bool:
        """Try a failed frame on another slot; return False where none is free yet and nobody may wait for one."""
        if not self._idle and not wait:
            return False
        if not self._wait_for_a_slot():
            flight.attempts = MOST_ATTEMPTS
            return True
        self.retried += 1
        self._start(flight)
        return True

    # ---- ending -----------------------------------------------------------------------------------------------

    def _end(self, flight: _Flight[Item], *, wait: bool) -> bool:
        """Bring a flight to its end, result or error; return False where it is not there yet and `wait` is False."""
        while not flight.over:
            if flight.slot is None:
                if not self._start_again(flight, wait=wait):
                    return False
                continue
            try:
                if not wait and not flight.slot.copied_out.done():
                    return False
                flight.slot.copied_out.wait()
                self._land(flight, flight.slot)
            except _VENDOR_ERRORS as error:
                self._slot_failed(flight, error)
        return True

    def _land(self, flight: _Flight[Item], slot: Slot) -> None:
        """Take the result, which lies in leased memory, and let the slot go."""
        if flight.lease is None:  # every started flight has one; keeps the type checker honest
            raise InferenceError("device: got a frame without host buffers; expected a lease. Please report this.")
        flight.finished = Finished(
            item=flight.item,
            lease=flight.lease,
            copy_in_ns=slot.copied_in.elapsed_ns(slot.started),
            compute_ns=slot.computed.elapsed_ns(slot.computing),
            copy_out_ns=slot.copied_out.elapsed_ns(slot.copying_out),
            attempts=flight.attempts,
        )
        flight.slot, flight.lease, flight.sources = None, None, ()
        if flight.error is not None:  # its trace holds this very flight, and with it the host buffers, until a gc
            flight.error = flight.error.with_traceback(None)
        self._idle.append(slot)

    def _land_what_is_done(self) -> None:
        for flight in self._flights:
            if flight.slot is not None:
                self._end(flight, wait=False)

    def _forget_unwanted(self) -> None:
        while self._flights and self._flights[0].unwanted and self._end(self._flights[0], wait=False):
            self._flights.popleft()

    def _wait_for_a_slot(self) -> bool:
        """Wait until a slot is free, the oldest frame's first; return False where none is left to wait for."""
        while not self._idle:
            flight = next((flight for flight in self._flights if flight.slot is not None), None)
            if flight is None or flight.slot is None:
                return False
            try:
                flight.slot.copied_out.wait()
                self._land(flight, flight.slot)
            except _VENDOR_ERRORS as error:
                self._slot_failed(flight, error)
        return True

    def _slot_failed(self, flight: _Flight[Item], error: Exception) -> None:
        """Take the slot off its frame; use it again once all streams are empty, or retire it."""
        slot, flight.slot, flight.error = flight.slot, None, error
        if slot is None:
            return
        try:
            for stream in (self._streams.copy_in, self._streams.compute, self._streams.copy_out):
                stream.synchronize()
        except _VENDOR_ERRORS as lost:
            self.retired.append(f"{slot.name}: {lost}")
        else:
            self._idle.append(slot)


def _result_of(flight: _Flight[Item]) -> Finished[Item]:
    """Return the result of a flight that is over, or raise what went wrong on its last try."""
    if flight.finished is not None:
        return flight.finished
    if isinstance(flight.error, RtsegError):
        raise flight.error
    raise InferenceError(
        f"device: got {flight.error} on each of {flight.attempts} tries; expected a result. "
        "Run again; if it comes back, use --backend openvino."
    ) from flight.error
