"""Batches built ahead by threads, in an order that does not depend on them.

Note [Order of samples]
    Sample i of a run is `source.draw(i, …)`, and batches take consecutive indices in the order in which they are asked
    for. Threads only decide when a batch is ready, never which samples are in it, so a run that is taken up again at
    sample i goes on exactly as if it had not been stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from rtseg.pipeline.opencv_threads import give_back_threads, take_one_thread
from rtseg.train.samples import SampleSource, TrainingSample


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What the next batch is to be."""

    source: SampleSource
    first_index: int
    """Index of its first sample in the run."""
    count: int
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples stacked."""

    pictures: Tensor
    """uint8 [N, H, W, 3], RGB."""
    targets: Tensor
    """uint8 [N, H, W]."""
    ignored: Tensor | None
    """bool [N, H, W]; None where everything is known."""
    pseudo: Tensor
    """bool [N]: the averaged network may fill in what the target leaves open."""
    soft: Tensor | None = None
    """uint8 [N, K, h, w], 0..255: a teacher's probabilities; None: of no sample."""
    taught: Tensor | None = None
    """bool [N]: which samples have such; None: none has."""

    def __len__(self) -> int:
        return len(self.pictures)

    def parts(self, count: int) -> list[Batch]:
        """Return the batch in at most `count` parts of two samples or more, which batch norm needs; views."""
        sides = [t.chunk(max(1, min(count, len(self) // 2))) for t in (self.pictures, self.targets, self.pseudo)]
        if len(sides[0]) == 1 or min(map(len, sides[0])) < 2:
            return [self]
        lengths = [len(part) for part in sides[0]]
        others = (self.ignored, self.soft, self.taught)
        optional = [[None] * len(lengths) if each is None else torch.split(each, lengths) for each in others]
        return [Batch(p, t, i, u, s, h) for p, t, u, i, s, h in zip(*sides, *optional, strict=True)]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device. Sync: the copy may still be under way; work on the same stream waits for it."""
        if device.type == "cpu":
            return self
        ignored = None if self.ignored is None else self.ignored.to(device, non_blocking=True)
        moved = [t.to(device, non_blocking=True) for t in (self.pictures, self.targets, self.pseudo)]
        soft = None if self.soft is None else self.soft.to(device, non_blocking=True)
        taught = None if self.taught is None else self.taught.to(device, non_blocking=True)
        return Batch(moved[0], moved[1], ignored, moved[2], soft, taught)


def stacked(samples: list[TrainingSample], *, pinned: bool = False) -> Batch:
    """Return samples of one size as a batch; `pinned` puts it where a GPU copies from without waiting."""
    ignored = None
    if any(sample.ignored is not None for sample in samples):
        known = np.zeros(samples[0].target.shape, np.bool_)
        ignored = torch.from_numpy(np.stack([known if s.ignored is None else s.ignored for s in samples]))
    parts = [
        torch.from_numpy(np.stack([sample.rgb for sample in samples])),
        torch.from_numpy(np.stack([sample.target for sample in samples])),
        torch.tensor([sample.pseudo for sample in samples]),
        *_taught(samples),
    ]
    if pinned:
        parts = [part.pin_memory() for part in parts]
        ignored = None if ignored is None else ignored.pin_memory()
    return Batch(parts[0], parts[1], ignored, *parts[2:])


def _taught(samples: list[TrainingSample]) -> list[Tensor]:
    """Return a teacher's probabilities uint8 [N, K, h, w] and who has some, bool [N]; nothing where nobody has."""
    known = next((sample.soft for sample in samples if sample.soft is not None), None)
    if known is None:
        return []
    nothing = np.zeros_like(known)
    soft = np.stack([nothing if sample.soft is None else sample.soft for sample in samples])
    return [torch.from_numpy(soft), torch.tensor([sample.soft is not None for sample in samples])]


class BatchLoader:
    """Gives batches in the order of the requests; a context manager that ends its threads. See Note [Order of samples].

    Threading: its methods belong to one thread; `ask` is called in it.
    """

    def __init__(self, ask: Callable[[], BatchRequest | None], *, threads: int = 1, pinned: bool = False) -> None:
        """Prepare.

        Args:
            ask: says what the next batch to build is; None: there is none any more.
            threads: that build; as many batches wait ready besides.
            pinned: see `stacked`.
        """
        self._ask, self._pinned, self._ahead = ask, pinned, 2 * max(1, threads)
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="batch")
        self._begun: deque[Future[Batch]] = deque()
        self._exhausted = False

    def __enter__(self) -> Self:
        take_one_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        give_back_threads()

    def next(self) -> Batch | None:
        """Return the next batch, None after the last. An error of its samples is raised here."""
        while len(self._begun) < self._ahead and not self._exhausted:
            request = self._ask()
            if request is None:
                self._exhausted = True
            else:
                self._begun.append(self._pool.submit(self._build, request))
        return self._begun.popleft().result() if self._begun else None

    def _build(self, request: BatchRequest) -> Batch:
        indices = range(request.first_index, request.first_index + request.count)
        return stacked([request.source.draw(index, request.size_wh) for index in indices], pinned=self._pinned)
