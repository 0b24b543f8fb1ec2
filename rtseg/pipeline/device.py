"""The segment and render stages on a device, in one: frames go onto slots and come back composited.

The pipeline takes this way where the backend's engine lies on a device and every effect has a kernel; `choose_device`
says why it does not where it does not, and the stats keep that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rtseg.backends.device_backend import DeviceBackend
from rtseg.errors import ConfigError, RtsegError
from rtseg.pipeline.channel import Channel, ChannelClosed
from rtseg.pipeline.device_batch import Lane, join
from rtseg.pipeline.policy import DROP_CAUSE, Policy
from rtseg.pipeline.slots import Finished, Slot, SlotScheduler, Streams
from rtseg.pipeline.slots_ring import HostRing
from rtseg.pipeline.stage import Place
from rtseg.render.effects import Effect
from rtseg.render.hud import HudState
from rtseg.segmenter import Segmenter
from rtseg.stats import Stats
from rtseg.types import Frame, Segmentation

if TYPE_CHECKING:  # torch is loaded when a path is opened, not before
    from rtseg.backends.device import DeviceEngine
    from rtseg.cuda.frame_path import FramePath

IN_FLIGHT: Final[dict[Policy, int | None]] = {"every": None, "freshest": 2}
"""Frames under way at once; None: as many as there are slots. Live: one is computed while the next is copied in."""


class DeviceChoice(NamedTuple):
    """Whether frames stay on the device, and why."""

    taken: bool
    reason: str


class Composited(NamedTuple):
    """A frame that has come out of the device: as it was, with its result and as it is to be shown."""

    frame: Frame
    result: Segmentation
    shown: Frame


def choose_device(segmenter: Segmenter, effects: Sequence[Effect]) -> DeviceChoice:
    """Return whether frames can go through the device's slots, with the reason; loads nothing for a CPU's backend.

    Args:
        segmenter: the loaded model.
        effects: what is to be drawn.
    """
    backend = getattr(segmenter, "backend", None)
    if not isinstance(backend, DeviceBackend):
        return DeviceChoice(False, f"host: the backend {segmenter.info.name} has no engine on a device")
    engine = backend.device_engine
    if engine.device.type != "cuda":
        return DeviceChoice(False, f"host: {segmenter.info.name} runs on the {engine.device.type} here")
    return engine_choice(segmenter, effects, engine)


def engine_choice(segmenter: Segmenter, effects: Sequence[Effect], engine: DeviceEngine) -> DeviceChoice:
    """Return whether an engine's frames can stay on its device, with the reason."""
    if engine.form != "planes":
        return DeviceChoice(False, f"host: the engine takes {engine.form}; slots take planes")
    try:
        from rtseg.cuda.support import check_effects
    except ImportError as error:
        return DeviceChoice(False, f"host: the kernels cannot be loaded ({error})")
    try:
        check_effects(effects, segmenter.classes, segmenter.palette, is_matte=engine.network.is_matte)
    except ConfigError as error:
        return DeviceChoice(False, f"host: {error}")
    if engine.batch > 1:
        return DeviceChoice(True, f"device: up to {engine.batch} sources batched into one engine, two graphs a slot")
    return DeviceChoice(True, "device: resizing, engine and effects in one graph a slot")


@dataclass(frozen=True, slots=True)
class DeviceRun:
    """What the stage needs of the pipeline."""

    decoded: Channel[Frame]
    """Where frames come from."""
    deliver: Callable[[Composited], None]
    """Takes them, in order."""
    what: Callable[[], tuple[Segmenter, tuple[Effect, ...]]]
    """The model and what is drawn from now on; the keys of a window change both."""
    hud: Callable[[], HudState | None]
    """What the HUD says now."""
    stays_on_device: Callable[[], bool]
    """Whether every sink takes its pictures on the device."""

    def next_frame(self, *, wait: bool) -> Frame | None:
        """Return the next decoded frame; None: none yet with `wait` False, else no more."""
        try:
            return self.decoded.get(wait=wait)
        except ChannelClosed:
            return None


class DeviceStage:
    """Feeds the slots and hands on what comes out. One for a run; see `SlotScheduler` for failures.

    Threading: `run` is the body of one thread.
    """

    def __init__(self, run: DeviceRun, *, policy: Policy, stats: Stats) -> None:
        self._run = run
        self._newest_only = policy == "freshest"
        self._most = IN_FLIGHT[policy]
        self._stats = stats
        self._path: FramePath | None = None
        self._scheduler: SlotScheduler[Frame] | None = None
        self._segmenter, self._effects = run.what()
        self._format: Any = None
        self._lane: Lane | None = None

    def run(self, place: Place) -> None:
        """Work until there are no more frames.

        Raises:
            InferenceError: a frame failed on every slot it was tried on. All others under way were handed on before.
        """
        try:
            while (frame := self._run.next_frame(wait=not self._under_way)) is not None or self._under_way:
                if frame is None:
                    self._collect(place)
                    continue
                self._make_room(frame, place)
                self._submit(frame, place)
            self._collect_all(place)
        except RtsegError:
            self._rescue()
            raise
        finally:
            self._close_path()
            self._leave_lane()

    @property
    def _under_way(self) -> int:
        return 0 if self._scheduler is None else self._scheduler.in_flight

    def _make_room(self, frame: Frame, place: Place) -> None:
        """Collect until a slot is free; all that are under way where format, model or effects are others now."""
        from rtseg.cuda.frame_path import format_of

        if (format_of(frame.picture), self._run.what()) != (self._format, (self._segmenter, self._effects)):
            self._collect_all(place)
            self._open(frame, place)
        while self._scheduler is not None and self._is_full(self._scheduler):
            self._collect(place)

    def _is_full(self, scheduler: SlotScheduler[Frame]) -> bool:
        return scheduler.in_flight > 0 and (
            not scheduler.has_room or (self._most is not None and scheduler.in_flight >= self._most)
        )

    def _open(self, frame: Frame, place: Place) -> None:
        from rtseg.cuda.frame_path import format_of, open_path

        self._close_path()
        self._segmenter, self._effects = self._run.what()
        stays = self._run.stays_on_device()
        with place.at("open device slots", frame.frame_index):
            self._path = path = open_path(
                self._segmenter, self._effects, frame, stays_on_device=stays, engine=self._shared_engine()
            )
        self._scheduler = scheduler_for(path, self._run.hud)
        self._format = format_of(frame.picture)

    def _shared_engine(self) -> DeviceEngine | None:
        """Return this source's lane of an engine for several pictures; None: the segmenter's engine takes one."""
        backend = self._segmenter.backend
        engine = backend.device_engine if isinstance(backend, DeviceBackend) else None
        if self._lane is not None and self._lane.shared_engine is not engine:
            self._leave_lane()
        if engine is None or engine.batch == 1:
            return None
        self._lane = self._lane or join(engine)
        return self._lane.engine

    def _leave_lane(self) -> None:
        """Let the others' batches leave without this source, and keep in the stats how large they were."""
        lane, self._lane = self._lane, None
        if lane is not None:
            sizes = {str(size): count for size, count in lane.sizes.items()}
            self._stats.facts["batches"] = {"most": lane.shared_engine.batch, "sizes": sizes}
            lane.leave()

    def _submit(self, frame: Frame, place: Place) -> None:
        if self._scheduler is None:
            raise ConfigError("device slots: got a frame before they were open; expected slots. Please report this.")
        with place.at("infer", frame.frame_index):
            self._scheduler.submit(frame)

    def _collect(self, place: Place) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        oldest = scheduler.oldest
        with place.at("infer", None if oldest is None else oldest.frame_index):
            if self._newest_only:
                finished, given_up = scheduler.collect_newest()
                if given_up:
                    self._stats.frames.dropped[DROP_CAUSE] += given_up
            else:
                finished = scheduler.collect()
        if finished is not None:
            self._count(finished)
            self._run.deliver(self._composited(finished))

    def _collect_all(self, place: Place) -> None:
        while self._under_way:
            self._collect(place)

    def _rescue(self) -> None:
        """Hand on what the other slots have finished or will finish; the first failure is the one that is raised."""
        scheduler = self._scheduler
        while scheduler is not None and scheduler.in_flight:
            try:
                finished = scheduler.collect()
            except RtsegError:
                continue
            if finished is not None:
                self._count(finished)
                self._run.deliver(self._composited(finished))

    def _count(self, finished: Finished[Frame]) -> None:
        self._stats.stage("copy in").add(finished.copy_in_ns)
        self._stats.stage("infer").add(finished.compute_ns)
        self._stats.stage("copy out").add(finished.copy_out_ns)
        self._stats.frames.processed += 1

    def _composited(self, finished: Finished[Frame]) -> Composited:
        frame, path = finished.item, self._path
        if path is None:
            raise ConfigError("device slots: got a result before they were open; expected slots. Please report this.")
        path.keep_shares(finished.lease.buffers)
        mask = finished.lease.array(path.mask_at)[0]
        is_matte = self._segmenter.bundle.task == "matte"
        result = Segmentation(
            self._segmenter.classes,
            frame.size_wh,
            network_labels=None if is_matte else mask,
            network_alpha=mask if is_matte else None,
        )
        if path.plan.out is None:
            return Composited(frame, result, frame)
        if path.stays_on_device:
            shown = path.surface_of(finished.lease.buffers[0].handle, keep=finished.lease)
            return Composited(frame, result, frame.with_picture(shown))
        return Composited(frame, result, frame.with_picture(path.picture_of(finished.lease.array(0))))

    def _close_path(self) -> None:
        """Wait for what is under way, keep what went wrong in the notes, and let everything go."""
        scheduler, self._scheduler = self._scheduler, None
        path, self._path = self._path, None
        if scheduler is not None:
            scheduler.drain()
            if retried := scheduler.retried:
                tries = "try was" if retried == 1 else "tries were"
                self._stats.notes.append(f"device slots: {retried} failed {tries} repeated")
            self._stats.notes += [f"device slots: no longer used: {reason}" for reason in scheduler.retired]
        if path is not None:
            path.close()


def scheduler_for(path: FramePath, hud: Callable[[], HudState | None]) -> SlotScheduler[Frame]:
    """Return a scheduler over a path's slots; `hud` says what the next frame's HUD shows."""
    parts_of = {f"slot {number}": parts for number, parts in enumerate(path.slots)}
    slots = [
        Slot(
            name,
            parts.staging,
            parts.inputs,
            parts.outputs,
            parts.work,
            parts.started,
            parts.copied_in,
            parts.computing,
            parts.computed,
            parts.copying_out,
            parts.copied_out,
        )
        for name, parts in parts_of.items()
    ]

    def feed(frame: Frame, slot: Slot) -> Sequence[Any]:
        return path.enter(frame, parts_of[slot.name], hud())

    return SlotScheduler(slots, Streams(path.copy_in, path.compute, path.copy_out), HostRing(path.ring), feed)
