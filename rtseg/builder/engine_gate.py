"""The parity gate of engines: what runs on the device, as it will be run, against the ONNX file on the CPU in fp32.

Note [When an engine passes]
    It is shown frames that change from one to the next, with as many in flight as it takes, so that its CUDA graphs are
    replayed on new inputs. Then, against the float network in fp32:

    fp16, fp32   at least 99.5 % of all labels are the same; of a matte (alpha > 0.5 is its label) also the mean
                 absolute difference is at most 0.005.
    int8         the mean IoU on labelled frames falls by at most one point; without labels, see
                 Note [When a quantized network passes]. Of a matte also the difference is at most 0.01.

    An average hides what goes wrong once, or by one pixel. So whatever the precision: no mask is more like that of an
    earlier frame than like its own, no shift by a pixel makes the masks fit better, every class that is there is mostly
    found as itself, and no single frame is far worse than the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from rtseg import metrics
from rtseg.backends.base import Backend, NetworkOutput, Pending
from rtseg.builder.parity import MOST_MAD, Parity, ParityGate
from rtseg.builder.parity_frames import LEAST_FRAMES, ParityFrames
from rtseg.cuda_device import CudaDevice
from rtseg.engine_files.key import EnginePrecision
from rtseg.engine_files.manifest import Proof
from rtseg.errors import ConfigError, EngineError, InferenceError
from rtseg.network import NetworkSpec
from rtseg.types import UInt8Array

LEAST_AGREEMENT: Final = 0.995
"""Share of labels that an fp16 engine has as in fp32."""
MOST_HALF_MAD: Final = 0.005
"""Mean absolute difference of mattes of an fp16 engine, 0..1."""
SLOTS: Final = 8
"""So many frames back a stale mask may come from."""
_ALIKE: Final = 0.999
"""Frames whose masks agree so far cannot tell a stale mask from a right one."""
_LEAST_GAIN: Final = 0.0005
"""A shift fits better where it gains that share of likeness; less is chance."""
_LEAST_TELLING: Final = 0.5
"""Share of frames that must differ from the one before."""
_LEAST_CLASS_SHARE: Final = 0.001
"""Of all pixels: smaller classes may get lost in 8 bits."""
_FAR: Final = 10.0
"""A frame is far worse than the rest where it differs so many times as much as the median one …"""
_FAR_LEAST: Final = 0.05
"""… and in more than this share of its pixels."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found. See Note [When an engine passes]."""

    precision: EnginePrecision
    parity: Parity
    """Of the masks as a whole, by the classes of the frames' labels."""
    agreement: float
    """Share of labels as in fp32, by the model's own classes, 0..1."""
    worst_frame: float
    """The same of the worst frame."""
    faults: tuple[str, ...]
    """What no average shows, a phrase each."""
    in_flight: int
    """Frames that were in flight at once."""
    backend: str
    """What ran them, in one line."""

    @property
    def accepted(self) -> bool:
        """True where the engine may be used."""
        return not self.faults and self._close_enough

    @property
    def _close_enough(self) -> bool:
        mad = self.parity.alpha_mad or 0.0
        if self.precision == "int8":
            return self.parity.accepted and mad <= MOST_MAD
        return self.agreement >= LEAST_AGREEMENT and mad <= MOST_HALF_MAD

    def verdict(self) -> str:
        """Return in one line what was asked and what was found."""
        word = "accepted" if self.accepted else "refused"
        if self.faults:
            return f"{word}: got {'; '.join(self.faults)}; expected masks of the frames themselves"
        if self.precision == "int8":
            return f"{word}: {self.parity.verdict().partition(': ')[2]}{self._mad_text(MOST_MAD)}"
        return (
            f"{word}: got {self.agreement:.2%} of the labels as in fp32 on {self.parity.frames} frames; expected at "
            f"least {LEAST_AGREEMENT:.1%}{self._mad_text(MOST_HALF_MAD)}"
        )

    def _mad_text(self, bound: float) -> str:
        mad = self.parity.alpha_mad
        return "" if mad is None else f"; a matte that differs by {mad:.4f}, at most {bound}"

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            **self.parity.to_json(),
            "accepted": self.accepted,
            "verdict": self.verdict(),
            "precision": self.precision,
            "label_agreement_of_the_model": round(self.agreement, 6),
            "worst_frame_agreement": round(self.worst_frame, 6),
            "faults": list(self.faults),
            "in_flight": self.in_flight,
            "backend": self.backend,
        }

    def proof(self, device: CudaDevice) -> Proof:
        """Return the report as it is kept with the engine."""
        return Proof(device, self.accepted, self.verdict(), self.to_json(), datetime.now(UTC).isoformat())


def prove(
    backend: Backend,
    reference: NetworkSpec,
    precision: EnginePrecision,
    frames: ParityFrames,
    *,
    on_frame: Callable[[], None] | None = None,
) -> GateReport:
    """Return how a loaded engine compares with its float network in fp32 on the CPU.

    Args:
        backend: with the engine loaded; nothing may be in flight.
        reference: the float network at the engine's size.
        precision: of the engine, which says what is allowed.
        frames: at least `LEAST_FRAMES`, at the engine's size; they are shown in an order that changes scenes.
        on_frame: for a progress bar; called for each frame on each side.

    Raises:
        ConfigError: too few frames, or frames that hardly change, with which a stale mask would pass.
        EngineError: the float network cannot be run.
        InferenceError: the engine fails on a frame.
    """
    frames = interleaved(frames)
    gate = ParityGate(reference, frames, on_frame=on_frame)
    check_changing(gate.expected, frames.name, matte=reference.is_matte)
    found = masks_of(backend, frames.pictures, on_frame=on_frame)
    _check_shapes(gate.expected, found)
    return judged(gate, found, precision, matte=reference.is_matte, backend=backend)


def judged(
    gate: ParityGate, found: Sequence[UInt8Array], precision: EnginePrecision, *, matte: bool, backend: Backend
) -> GateReport:
    """Return the report on masks of the gate's frames."""
    expected, info = gate.expected, backend.info
    agreements = [_agreement(a, b, matte=matte) for a, b in zip(expected, found, strict=True)]
    return GateReport(
        precision=precision,
        parity=gate.compare(found),
        agreement=float(np.mean(agreements)),
        worst_frame=min(agreements),
        faults=tuple(_faults(expected, found, agreements, matte=matte)),
        in_flight=info.in_flight,
        backend=f"{info.name} {info.version} {info.precision} on {info.device}",
    )


def masks_of(
    backend: Backend, pictures: Sequence[UInt8Array], *, on_frame: Callable[[], None] | None = None
) -> list[UInt8Array]:
    """Return the mask of every picture, uint8 [h, w], with as many in flight as the backend takes."""
    waiting: deque[Pending] = deque()
    masks: list[UInt8Array] = []

    def collect() -> None:
        masks.append(_mask_in(waiting.popleft().result()))
        if on_frame is not None:
            on_frame()

    for picture in pictures:
        if len(waiting) == backend.info.in_flight:
            collect()
        waiting.append(backend.submit(picture))
    while waiting:
        collect()
    return masks


def _mask_in(output: NetworkOutput) -> UInt8Array:
    mask = output.labels if output.alpha is None else output.alpha
    if mask is None:
        raise InferenceError("parity gate: got no mask from the engine; expected one. Please report this.")
    return mask


def _check_shapes(expected: Sequence[UInt8Array], found: Sequence[UInt8Array]) -> None:
    if expected[0].shape != found[0].shape:
        raise EngineError(
            f"parity gate: got masks {list(found[0].shape)} from the engine; expected {list(expected[0].shape)}, as "
            "the ONNX file gives. Build the engine again."
        )


def interleaved(frames: ParityFrames, stride: int = SLOTS) -> ParityFrames:
    """Return the frames in an order in which neighbours are `stride` apart, so that each differs from the one before.

    Raises:
        ConfigError: there are fewer than `LEAST_FRAMES`.
    """
    count = len(frames.pictures)
    if count < LEAST_FRAMES:
        raise ConfigError(f"parity gate: got {count} frames; expected at least {LEAST_FRAMES}. Give it more.")
    order = [index for first in range(stride) for index in range(first, count, stride)]
    truths = None if frames.truths is None else tuple(frames.truths[index] for index in order)
    return replace(frames, pictures=tuple(frames.pictures[index] for index in order), truths=truths)


def check_changing(expected: Sequence[UInt8Array], name: str, *, matte: bool) -> None:
    """Raise ConfigError for frames whose masks hardly change: on them a replayed mask would pass."""
    pairs = list(pairwise(expected))
    telling = sum(_likeness(a, b, matte=matte) < _ALIKE for a, b in pairs)
    if telling < _LEAST_TELLING * len(pairs):
        raise ConfigError(
            f"parity gate: got frames of {name} of which {len(pairs) - telling} of {len(pairs)} are like the one "
            "before; expected frames that change, or a stale result would pass. Give it other footage."
        )


def _faults(
    expected: Sequence[UInt8Array], found: Sequence[UInt8Array], agreements: Sequence[float], *, matte: bool
) -> Iterator[str]:
    """Yield what no average shows. See Note [When an engine passes]."""
    stale = _stale_frames(expected, found, matte=matte)
    if stale:
        yield f"{len(stale)} masks of earlier frames (the first at frame {stale[0]})"
    shift = _better_shift(expected, found, matte=matte)
    if shift is not None:
        yield f"masks shifted by {shift[0]}, {shift[1]} pixels"
    if not matte:
        yield from _swapped_classes(expected, found)
    lost = [1 - agreement for agreement in agreements]
    far = [index for index, share in enumerate(lost) if share > max(_FAR_LEAST, _FAR * float(np.median(lost)))]
    if far:
        yield f"{len(far)} frames far worse than the rest (frame {far[0]}: {agreements[far[0]]:.1%} of its labels)"


def _stale_frames(expected: Sequence[UInt8Array], found: Sequence[UInt8Array], *, matte: bool) -> list[int]:
    """Return the frames whose mask is more like that of an earlier one than like its own."""
    stale = []
    for index, mask in enumerate(found):
        own = _likeness(mask, expected[index], matte=matte)
        earlier = (expected[one] for one in range(max(0, index - SLOTS), index))
        if any(_likeness(mask, one, matte=matte) > own for one in earlier):
            stale.append(index)
    return stale


def _better_shift(
    expected: Sequence[UInt8Array], found: Sequence[UInt8Array], *, matte: bool
) -> tuple[int, int] | None:
    """Return how many pixels right and down the masks lie, where a shift by one fits better than none; else None."""

    def fit(right: int, down: int) -> float:
        pairs = zip(_inner(found, right, down), _inner(expected, 0, 0), strict=True)
        return float(np.mean([_likeness(a, b, matte=matte) for a, b in pairs]))

    gains = {shift: fit(*shift) - fit(0, 0) for shift in ((1, 0), (-1, 0), (0, 1), (0, -1))}
    best = max(gains, key=lambda shift: gains[shift])
    return best if gains[best] > _LEAST_GAIN else None


def _inner(masks: Sequence[UInt8Array], right: int, down: int) -> list[UInt8Array]:
    """Return the masks without their border of one pixel, as seen from a place so far right and down."""
    return [mask[1 + down : mask.shape[0] - 1 + down, 1 + right : mask.shape[1] - 1 + right] for mask in masks]


def _swapped_classes(expected: Sequence[UInt8Array], found: Sequence[UInt8Array]) -> Iterator[str]:
    """Yield the classes of which most pixels are found as another one."""
    classes = 1 + max(int(mask.max()) for mask in (*expected, *found))
    counts = metrics.ConfusionMatrix(classes)
    for truth, mask in zip(expected, found, strict=True):
        counts.add(truth, mask)
    totals = counts.counts.sum(1)
    for label in np.flatnonzero(totals >= _LEAST_CLASS_SHARE * totals.sum()):
        other = int(counts.counts[label].argmax())
        if other != label:
            yield f"class {label} found as class {other}"


def _agreement(expected: UInt8Array, found: UInt8Array, *, matte: bool) -> float:
    """Return the share of equal labels; of a matte, alpha > 0.5 is the label."""
    return float(((expected > 127) == (found > 127)).mean()) if matte else float((expected == found).mean())


def _likeness(one: UInt8Array, other: UInt8Array, *, matte: bool) -> float:
    """Return how alike two masks are, 0..1: the share of equal labels; of mattes, 1 less their mean difference."""
    if not matte:
        return float((one == other).mean())
    return 1 - float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean()) / 255
