"""The training loop both recipes share: time-driven schedule, averaged weights, checkpoints, prefetching thread."""

from __future__ import annotations

import argparse
import copy
import json
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from depthwise import quicken
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Sample = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@dataclass
class Plan:
    """What a run does.

    The schedule follows the time spent, not the step count, so that a run on a busy machine still ends annealed.

    Attributes:
        minutes: time budget over all resumed parts.
        phases: (share of the budget at which it starts, input size, batch), in order.
        peak_rate: highest learning rate of AdamW.
        decay: weight decay on convolution weights.
        ema_steps: horizon of the averaged weights in steps.
        seed: of weights and samples.
    """

    minutes: float
    phases: list[tuple[float, tuple[int, int], int]]
    peak_rate: float
    decay: float = 0.02
    ema_steps: int = 600
    seed: int = 0
    checkpoint_seconds: float = 150.0
    report_steps: int = 50

    def phase(self, progress: float) -> tuple[tuple[int, int], int]:
        """Return input size and batch at a share of the budget."""
        current = [p for p in self.phases if p[0] <= progress][-1]
        return current[1], current[2]

    def rate(self, progress: float) -> float:
        """Return the learning rate at a share of the budget: 3 % warm-up, then half a cosine down to 1 %."""
        if progress < 0.03:
            return self.peak_rate * (0.02 + 0.98 * progress / 0.03)
        return self.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass
class Run:
    """The state that a checkpoint holds."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    images: int = 0
    spent_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the state to a temporary name, then move it in place."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counters": [self.step, self.images, self.spent_seconds],
            "history": self.history,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Read the state back."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.images, self.spent_seconds = state["counters"]
        self.history = state["history"]


class Prefetcher:
    """A thread that builds batches ahead. The size may be changed; batches already built keep theirs."""

    def __init__(self, sample: Callable[[tuple[int, int], np.random.Generator], Sample], seed: int) -> None:
        self._sample = sample
        self._rng = np.random.default_rng(seed)
        self._ready: queue.Queue[tuple[Tensor, Tensor] | BaseException] = queue.Queue(3)
        self._stop = threading.Event()
        self.size_wh, self.batch = (64, 64), 1
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin building batches of the current size."""
        self._thread.start()

    def next(self) -> tuple[Tensor, Tensor]:
        """Return pictures uint8 [N, H, W, 3] and targets uint8 [N, H, W]."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                item: tuple[Tensor, Tensor] | BaseException = self._build()
            except (ValueError, IndexError, RuntimeError, OSError) as error:
                item = error
            while not self._stop.is_set():
                try:
                    self._ready.put(item, timeout=0.5)
                    break
                except queue.Full:
                    continue

    def _build(self) -> tuple[Tensor, Tensor]:
        samples = [self._sample(self.size_wh, self._rng) for _ in range(self.batch)]
        return torch.from_numpy(np.stack([s[0] for s in samples])), torch.from_numpy(np.stack([s[1] for s in samples]))


def normalised(pictures_nhwc: Tensor) -> Tensor:
    """Return uint8 [N, H, W, 3] as float [N, 3, H, W], channels last, with ImageNet's mean and deviation."""
    mean = torch.tensor(IMAGENET_MEAN) * 255
    std = torch.tensor(IMAGENET_STD) * 255
    return ((pictures_nhwc.float() - mean) / std).permute(0, 3, 1, 2)


def optimiser_for(network: nn.Module, decay: float) -> torch.optim.Optimizer:
    """Return AdamW with decay on convolution weights only."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.99))


def update_average(average: nn.Module, network: nn.Module, step: int, horizon: int) -> None:
    """Move the averaged weights and batch-norm statistics one step towards the network's."""
    keep = min(1 - 1 / horizon, (1 + step) / (10 + step))
    mine, theirs = average.state_dict(), network.state_dict()
    for name, value in mine.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[name], 1 - keep)
        else:
            value.copy_(theirs[name])


def begin(network: nn.Module, plan: Plan, folder: Path, resume: bool, warm: Path | None) -> Run:
    """Return a fresh, resumed or warm-started run. `warm` is a safetensors file of averaged weights."""
    folder.mkdir(parents=True, exist_ok=True)
    if warm is not None:
        from safetensors.torch import load_file

        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(warm).items()})
    network = quicken(network.to(memory_format=torch.channels_last)).train()
    run = Run(network, copy.deepcopy(network).eval().requires_grad_(False), optimiser_for(network, plan.decay))
    if resume and (folder / "last.pt").exists():
        run.load(folder / "last.pt")
    return run


def train(
    run: Run,
    plan: Plan,
    folder: Path,
    sample: Callable[[tuple[int, int], np.random.Generator], Sample],
    loss_of: Callable[[Any, Tensor], Tensor],
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    validate_minutes: float = 10.0,
) -> None:
    """Train until the plan's time is spent; checkpoints go to `folder/last.pt`, curves to `folder/history.json`."""
    budget = plan.minutes * 60
    batches = Prefetcher(sample, plan.seed + run.step)
    batches.size_wh, batches.batch = plan.phase(run.spent_seconds / budget)
    batches.start()
    previous = saved = validated = time.monotonic()
    total, seen = 0.0, 0
    while run.spent_seconds < budget:
        progress = run.spent_seconds / budget
        batches.size_wh, batches.batch = plan.phase(progress)
        total += _step(run, plan, batches.next(), loss_of, progress)
        seen += 1
        now = time.monotonic()
        run.spent_seconds += now - previous
        previous = now
        if run.step % plan.report_steps == 0:
            _report(run, total / seen, plan.rate(progress))
            total, seen = 0.0, 0
        if now - saved > plan.checkpoint_seconds:
            run.save(folder / "last.pt")
            saved = now
        if validate is not None and now - validated > validate_minutes * 60:
            _validate(run, validate, folder)
            validated = previous = time.monotonic()
    batches.stop()
    run.save(folder / "last.pt")
    if validate is not None:
        _validate(run, validate, folder)


def _step(
    run: Run, plan: Plan, batch: tuple[Tensor, Tensor], loss_of: Callable[[Any, Tensor], Tensor], progress: float
) -> float:
    for group in run.optimiser.param_groups:
        group["lr"] = plan.rate(progress)
    with torch.autocast("cpu", torch.bfloat16):
        output = run.network(normalised(batch[0]))
    loss = loss_of(output, batch[1])
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    run.step += 1
    run.images += len(batch[0])
    if run.step % 4 == 0:
        update_average(run.average, run.network, run.step // 4, plan.ema_steps // 4)
    return float(loss.detach())


def _report(run: Run, loss: float, rate: float) -> None:
    line = {"step": run.step, "images": run.images, "minutes": run.spent_seconds / 60, "loss": loss, "rate": rate}
    run.history.append({k: round(v, 5) for k, v in line.items()})
    print(json.dumps(run.history[-1]), flush=True)


def _validate(run: Run, validate: Callable[[nn.Module], dict[str, float]], folder: Path) -> None:
    scores = {k: round(v, 4) for k, v in validate(run.average.eval()).items()}
    run.history.append({"step": run.step, "minutes": round(run.spent_seconds / 60, 2), **scores})
    print(json.dumps(run.history[-1]), flush=True)
    (folder / "history.json").write_text("\n".join(json.dumps(row) for row in run.history) + "\n")


def arguments(description: str, default_minutes: float) -> argparse.ArgumentParser:
    """Return the parser with the options both recipes take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=default_minutes, help="time budget, resumed parts included")
    parser.add_argument("--folder", type=Path, required=True, help="where checkpoints and curves go")
    parser.add_argument("--synthetic", type=Path, help="folder written by prerender.py")
    parser.add_argument("--resume", action="store_true", help="continue from FOLDER/last.pt")
    parser.add_argument("--warm", type=Path, help="start from averaged weights (safetensors)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser
