"""Bytes in, bytes out on a device: what the backends `tensorrt` and `torch` share.

submit:  picture -> page-locked memory | copy in, normalise, infer, argmax, copy out: one graph | mark
result:                                                              wait for the mark, copy the mask
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rtseg.backends.base import Backend, BackendInfo, EngineRequest, NetworkOutput, Pending
from rtseg.backends.device_errors import DeviceLost, memory_text, opening
from rtseg.cuda_device import current_device
from rtseg.errors import EngineError, InferenceError, RtsegError
from rtseg.types import UInt8Array

if TYPE_CHECKING:  # they import torch, which choosing a backend must not
    from rtseg.backends.device import DeviceEngine
    from rtseg.backends.device_runtime import DeviceRuntime
    from rtseg.backends.device_slot import DeviceSlot


class DeviceBackend(Backend):
    """A backend on a device. Subclasses choose the device and open the engine."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: tuple[DeviceEngine, DeviceRuntime] | None = None
        self._slots: list[DeviceSlot] = []
        self._free: deque[DeviceSlot] = deque()
        self._lost: str | None = None

    @classmethod
    def takes_batches(cls) -> bool:
        """Return whether there is a GPU; on a CPU pictures are best inferred one by one."""
        return current_device().present

    @abstractmethod
    def _choose_runtime(self, request: EngineRequest) -> DeviceRuntime:
        """Return the device to use. Raises BackendUnavailable where it does not work here."""

    @abstractmethod
    def _open(self, request: EngineRequest, runtime: DeviceRuntime) -> DeviceEngine:
        """Open the engine for one picture at a time, in whatever form suits a backend."""

    @property
    def device_engine(self) -> DeviceEngine:
        """The loaded engine itself, for the CUDA slots and for measuring it bare."""
        if self._opened is None:
            raise InferenceError(f"{self.name}: got a use before load() or after close(); expected a loaded engine.")
        return self._opened[0]

    def release_slots(self) -> None:
        """Give back the memory of this backend's own slots, for someone who makes contexts of the engine himself.

        They are made again at the next `submit`. Nothing may be in flight.
        """
        self._slots, self._free = [], deque()

    def _load(self, request: EngineRequest) -> BackendInfo:
        runtime = self._choose_runtime(request)
        with opening(self.name, runtime, f"open the engine of {request.model_name}"):
            engine = self._open(request, runtime)
        self._opened = engine, runtime
        try:
            self._make_slots(request)
        except BaseException:
            self._close()
            raise
        return self._described(request, engine.info)

    def _described(self, request: EngineRequest, info: BackendInfo) -> BackendInfo:
        """Return the engine's facts with those of the slots."""
        count = len(self._slots)
        graphs = all(slot.recorded for slot in self._slots)
        reason = f"{count} frame{'s' * (count > 1)} in flight" + (", one CUDA graph each." if graphs else ".")
        settings = {**info.settings, "cuda_graph": "on" if graphs else "off", "hint": request.hint}
        return replace(info, in_flight=count, reasons=(*info.reasons, reason), settings=settings)

    def _make_slots(self, request: EngineRequest) -> None:
        """Allocate every slot; what one took tells what all of them need."""
        if self._opened is None:
            raise InferenceError(f"{self.name}: got slots before load(); expected a loaded engine.")
        from rtseg.backends.device_slot import DeviceSlot

        engine, runtime = self._opened
        doing = f"run {request.model_name} with {runtime.slots} frames in flight"
        before = runtime.memory_bytes()
        needed = None if engine.context_bytes is None else engine.context_bytes * runtime.slots
        if needed is not None and before is not None and needed > before[0]:
            raise EngineError(f"backend {self.name}: {memory_text(runtime, needed, doing)}")
        for index in range(runtime.slots):
            if index == 1 and before is not None and needed is None:
                needed = _taken_bytes(before, runtime.memory_bytes(), runtime.slots)
            with opening(self.name, runtime, doing, needed, before):
                self._slots.append(DeviceSlot(self.name, engine, runtime, request))
        self._free = deque(self._slots)

    def _submit(self, picture: UInt8Array) -> Pending:
        self._check_lost()
        if not self._slots and self._request is not None:
            self._make_slots(self._request)
        if not self._free:
            raise InferenceError(
                f"{self.name}: got a picture with {len(self._slots)} in flight; expected at most that many. "
                "Collect the oldest result first."
            )
        slot = self._free.popleft()
        try:
            slot.start(picture)
        except DeviceLost as error:
            self._lost = str(error)
            raise
        except InferenceError:
            slot.settle()
            self._free.append(slot)
            raise
        return _PendingPicture(self, slot)

    def _collect(self, slot: DeviceSlot) -> NetworkOutput:
        """Wait for a slot and let it go."""
        try:
            return slot.finish()
        except DeviceLost as error:
            self._lost = str(error)
            raise
        finally:
            self._free.append(slot)

    def _check_lost(self) -> None:
        if self._lost is not None:
            raise DeviceLost(self._lost)

    def _close(self) -> None:
        for slot in self._slots:
            slot.wait_quietly()
        self.release_slots()
        if self._opened is not None:
            with suppress(RuntimeError, RtsegError):  # of a lost device nothing can be released
                self._opened[0].close()
        self._opened = None


def _taken_bytes(before: tuple[int, int], after: tuple[int, int] | None, slots: int) -> int | None:
    """Return what all slots take, from the free memory before and after the first; None where it does not show."""
    taken = 0 if after is None else before[0] - after[0]
    return taken * slots if taken > 0 else None


class _PendingPicture:
    """A picture in flight in one slot; the slot is free again once the result was copied out."""

    def __init__(self, backend: DeviceBackend, slot: DeviceSlot) -> None:
        self._backend = backend
        self._slot: DeviceSlot | None = slot

    def result(self) -> NetworkOutput:
        """Wait for the device and return its output; once."""
        slot, self._slot = self._slot, None
        if slot is None:
            raise InferenceError(
                f"{self._backend.name}: got result() twice; expected it once a picture. Keep the first result."
            )
        return self._backend._collect(slot)
