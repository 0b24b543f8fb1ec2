"""A backend without a network: masks computed from the picture, with delays, failures and faults on request.

For tests and for trying a pipeline where inference should cost nothing or fail on cue.
"""

from __future__ import annotations

import time
from typing import ClassVar, Literal

import numpy as np

from rtseg.backends.base import Backend, BackendInfo, EngineRequest, NetworkOutput, Pending
from rtseg.errors import InferenceError
from rtseg.types import UInt8Array

Fault = Literal["none", "shift", "class", "stale"]


class FakeBackend(Backend):
    """Labels are bands of brightness, alpha is the red channel; both follow from the picture alone.

    Args:
        delay_seconds: how long each picture takes; pictures in flight are worked on one after the other.
        fail_at: index of the submitted picture whose result raises InferenceError; None: none.
        fail_on_submit: True raises in `submit` instead of in `result`.
        fault: "shift" moves the mask one pixel to the right, "class" gives every label the next class (inverts an
            alpha), "stale" gives the mask of the picture before: what a parity gate must notice.
        in_flight: how many pictures may be submitted before the first must be collected.
    """

    name: ClassVar[str] = "fake"

    def __init__(
        self,
        delay_seconds: float = 0.0,
        *,
        fail_at: int | None = None,
        fail_on_submit: bool = False,
        fault: Fault = "none",
        in_flight: int = 2,
    ) -> None:
        super().__init__()
        self._delay_seconds = delay_seconds
        self._fail_at = fail_at
        self._fail_on_submit = fail_on_submit
        self._fault = fault
        self._in_flight = in_flight
        self._network_classes = 2
        self._is_matte = False
        self._with_scores = False
        self._outstanding = 0
        self._free_at_seconds = 0.0
        self._previous: NetworkOutput | None = None
        self.submitted = 0
        """How many pictures were submitted so far."""
        self.closed = False
        """True once `close` was called."""

    def _load(self, request: EngineRequest) -> BackendInfo:
        self._network_classes = request.network.class_count
        self._is_matte = request.network.is_matte
        self._with_scores = request.with_scores
        return BackendInfo(self.name, "1", "none", "exact", self._in_flight, ("fake, as asked.",))

    def _submit(self, picture: UInt8Array) -> Pending:
        if self._outstanding >= self._in_flight:
            raise InferenceError(
                f"fake: got more than {self._in_flight} in flight; expected at most that many. Collect."
            )
        index = self.submitted
        self.submitted += 1
        fails = index == self._fail_at
        if fails and self._fail_on_submit:
            raise InferenceError(f"fake: got picture {index}; expected to fail on it, and did.")
        self._free_at_seconds = max(self._free_at_seconds, time.monotonic()) + self._delay_seconds
        output = self._faulty(self._mask_of(picture))
        self._outstanding += 1
        return _FakePending(self, None if fails else output, index, self._free_at_seconds)

    def _close(self) -> None:
        self.closed = True

    def _collected(self) -> None:
        self._outstanding -= 1

    def _mask_of(self, picture: UInt8Array) -> NetworkOutput:
        infer_ns = round(self._delay_seconds * 1e9)
        if self._is_matte:
            return NetworkOutput(alpha=picture[..., 0].copy(), infer_ns=infer_ns)
        brightness = picture.astype(np.uint16).sum(axis=2) // 3
        labels = (brightness * self._network_classes // 256).astype(np.uint8)
        scores = np.ones(labels.shape, np.float32) if self._with_scores else None
        return NetworkOutput(labels=labels, scores=scores, infer_ns=infer_ns)

    def _faulty(self, output: NetworkOutput) -> NetworkOutput:
        """Return the output with the fault that was asked for."""
        if self._fault == "shift":
            return NetworkOutput(_shifted(output.labels), _shifted(output.alpha), output.scores, output.infer_ns)
        if self._fault == "class":
            labels = None if output.labels is None else (output.labels + np.uint8(1)) % np.uint8(self._network_classes)
            alpha = None if output.alpha is None else np.uint8(255) - output.alpha
            return NetworkOutput(labels, alpha, output.scores, output.infer_ns)
        if self._fault == "stale":
            stale, self._previous = self._previous or output, output
            return stale
        return output


def _shifted(mask: UInt8Array | None) -> UInt8Array | None:
    return None if mask is None else np.roll(mask, 1, axis=1)


class _FakePending:
    """A picture that is done at a set time."""

    def __init__(self, backend: FakeBackend, output: NetworkOutput | None, index: int, done_at_seconds: float) -> None:
        self._backend = backend
        self._output = output
        self._index = index
        self._done_at_seconds = done_at_seconds
        self._collected = False

    def result(self) -> NetworkOutput:
        """Wait until the set time and return the mask, or fail where that was asked for; once."""
        if self._collected:
            raise InferenceError("fake: got result() twice; expected it once a picture. Keep the first result.")
        self._collected = True
        remaining_seconds = self._done_at_seconds - time.monotonic()
        if remaining_seconds > 0:
            time.sleep(remaining_seconds)
        self._backend._collected()
        if self._output is None:
            raise InferenceError(f"fake: got picture {self._index}; expected to fail on it, and did.")
        return self._output
