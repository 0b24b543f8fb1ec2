"""The segment stage on the host: preprocess -> infer -> postprocess, with as many frames under way as the engine takes.

Passive: the pipeline puts a thread round `run`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rtseg.errors import RtsegError
from rtseg.pipeline.channel import Channel, ChannelClosed
from rtseg.pipeline.policy import RESULT_CAUSE, Policy
from rtseg.pipeline.stage import Failure, Place
from rtseg.segmenter import Segmenter, Session, Ticket
from rtseg.stats import Stats
from rtseg.types import Frame, Segmentation


class Segmented(NamedTuple):
    """A frame with its result and the segmenter that made it (the model can be switched while running)."""

    frame: Frame
    result: Segmentation
    segmenter: Segmenter
    shown: Frame | None = None
    """The frame as it is to be shown, where it was composited already (on a device); None: that is still to do."""


class Submitted(NamedTuple):
    """A frame that the engine is working on."""

    frame: Frame
    ticket: Ticket
    submitted_ns: int


class SegmentStage:
    """Takes frames from one channel and puts them, segmented and in their order, into the next.

    Args:
        segmenter: returns the model to use from the next frame on.
        decoded: where frames come from.
        segmented: where they go.
        policy: "every" keeps the engine full; "freshest" has one frame under way, so that none waits behind another.
        stats: of the run.
        failure: of the run, for what still fails while a stopped run is drained.
    """

    def __init__(
        self,
        segmenter: Callable[[], Segmenter],
        decoded: Channel[Frame],
        segmented: Channel[Segmented],
        *,
        policy: Policy,
        stats: Stats,
        failure: Failure,
    ) -> None:
        self._current = segmenter
        self._decoded = decoded
        self._segmented = segmented
        self._policy = policy
        self._stats = stats
        self._failure = failure
        self._in_work: deque[Submitted] = deque()
        self._infer_ended_ns = 0

    def run(self, place: Place) -> None:
        """Work until there are no more frames; what the engine still has is waited for in every case."""
        try:
            self._segment_all(place)
        finally:
            self._drain()

    def _segment_all(self, place: Place) -> None:
        segmenter = self._current()
        session = segmenter.session()
        if self._policy == "freshest":
            self._segment_newest(segmenter, session, place)
            return
        while (frame := self._next_frame()) is not None or self._in_work:
            if frame is None:
                self._collect(segmenter, place)
                continue
            if self._current() is not segmenter:
                self._collect_all(segmenter, place)
                segmenter = self._current()
                session = segmenter.session()
            while len(self._in_work) >= segmenter.info.in_flight:
                self._collect(segmenter, place)
            self._submit(session, frame, place)

    def _segment_newest(self, segmenter: Segmenter, session: Session, place: Place) -> None:
        """Finish a frame before the next is taken: what is taken earlier grows old while it waits for the engine."""
        while (frame := self._next_frame()) is not None:
            if self._current() is not segmenter:
                segmenter = self._current()
                session = segmenter.session()
            self._submit(session, frame, place)
            self._collect(segmenter, place)

    def _next_frame(self) -> Frame | None:
        """The next frame, or None: with frames in work when none waits yet, without when there is no more."""
        try:
            return self._decoded.get(wait=not self._in_work)
        except ChannelClosed:
            return None

    def _submit(self, session: Session, frame: Frame, place: Place) -> None:
        with place.at("preprocess", frame.frame_index):
            ticket = session.submit(frame)
        self._stats.stage("preprocess").add(ticket.preprocess_ns)
        self._in_work.append(Submitted(frame, ticket, time.monotonic_ns()))

    def _collect(self, segmenter: Segmenter, place: Place) -> None:
        frame, ticket, submitted_ns = self._in_work.popleft()
        with place.at("infer", frame.frame_index):
            result = ticket.result()
        ended_ns = submitted_ns + ticket.infer_ns
        busy_ns = max(0, ended_ns - max(submitted_ns, self._infer_ended_ns))
        self._infer_ended_ns = max(ended_ns, self._infer_ended_ns)
        self._stats.stage("infer").add(ticket.infer_ns, busy_ns=busy_ns)
        self._stats.stage("postprocess").add(ticket.postprocess_ns)
        self._stats.frames.processed += 1
        self._hand_on(Segmented(frame, result, segmenter))

    def _hand_on(self, done: Segmented) -> None:
        if self._policy == "every":
            self._segmented.put(done)
        elif dropped := self._segmented.put_freshest(done):
            self._stats.frames.dropped[RESULT_CAUSE] += dropped

    def _collect_all(self, segmenter: Segmenter, place: Place) -> None:
        while self._in_work:
            self._collect(segmenter, place)

    def _drain(self) -> None:
        """Wait for what the engine still has after a stop or a failure, so that its requests are free again."""
        for submitted in self._in_work:
            try:
                submitted.ticket.result()
            except RtsegError as error:
                self._failure.record(error, stage="infer", frame_index=submitted.frame.frame_index)
        self._in_work.clear()
