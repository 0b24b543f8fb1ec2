"""The training loop: steps, the averaged weights, reports, validations, checkpoints.

Note [Equal after a kill]
    What a step does follows from the recipe, the state in the checkpoint and the step's number alone: its samples from
    their index (see Note [Order of samples]), its dropout from a seed made of run and step, its rate and size from the
    progress. With a budget of steps, a run that was killed and resumed therefore ends with the same bits as one that
    was not, on the same processor with the same number of threads.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

import torch
from torch import Tensor, nn

from rtseg.builder.export import load_weights, save_weights
from rtseg.errors import TrainingError
from rtseg.train.averages import WeightAverage
from rtseg.train.checkpoint import read_checkpoint, write_checkpoint
from rtseg.train.device import Device, normalised
from rtseg.train.interrupt import StopSignals
from rtseg.train.loader import Batch, BatchLoader, BatchRequest
from rtseg.train.networks import build_network, carry_over, head_weights, network_table
from rtseg.train.optimise import build_optimiser, set_rate
from rtseg.train.overlays import draw_overlays
from rtseg.train.progress import Listener, TrainingProgress, left_seconds
from rtseg.train.pseudo_batch import pseudo_batch, pseudo_matte_batch
from rtseg.train.recipe import Recipe
from rtseg.train.replicas import Replicas
from rtseg.train.run_folder import RunFolder
from rtseg.train.samples import SampleSource
from rtseg.train.validate import TorchModel, ValidationSet, score_sets

REPORT_SECONDS: Final = 3.0
CHECKPOINT_SECONDS: Final = 120.0
_SEED_STEP: Final = 1_000_003
"""Between the seeds of two runs whose seeds follow each other; more than a run has steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What a run works on, opened from its recipe."""

    sources: tuple[SampleSource, ...]
    """Samples, one source a phase of the schedule."""
    loss: nn.Module
    """Called with the network's output, targets and ignored; gives the loss and its terms."""
    membership: Tensor | None = None
    """bool [T, C], which classes are right under which target; None for mattes."""
    validation: tuple[ValidationSet, ...] = ()
    """What the averaged network is scored on."""
    start: Mapping[str, Tensor] | None = None
    """Weights to start from, where the recipe names no file."""
    members: tuple[tuple[int, ...], ...] | None = None
    """For each class the classes of `start` that it takes in; None: they are the same."""


@dataclass(slots=True)
class Counters:
    """The numbers of a run that a checkpoint holds."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    validations: int = 0
    validated_step: int = -1
    best: float | None = None
    """Best validation score so far."""
    best_step: int = -1
    since_best: int = 0
    """Validations since then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    counters: Counters
    signal: int | None
    """The signal that ended it; None: it came to its end."""
    stopped_early: bool
    """True where the scores stood still."""


class Trainer:
    """One run. See Note [Equal after a kill]."""

    def __init__(
        self,
        recipe: Recipe,
        materials: Materials,
        folder: RunFolder,
        device: Device,
        listener: Listener,
        *,
        loader_threads: int = 1,
        replicas: int = 1,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        """Build network, average and optimiser.

        Args:
            recipe: what to do.
            materials: what to do it with.
            folder: begun with this recipe.
            device: where.
            listener: told how it goes.
            loader_threads: that build batches.
            replicas: parts in which each batch is computed at once, see `rtseg.train.replicas`.
            checkpoint_seconds: between two checkpoints.

        Raises:
            ConfigError: the network cannot be built, or the weights to start from are another's; replicas where there
                can be none.
        """
        self._recipe, self._materials, self._folder = recipe, materials, folder
        self._device, self._listener = device, listener
        self._loader_threads, self._checkpoint_seconds = loader_threads, checkpoint_seconds
        torch.manual_seed(recipe.seed)
        network = build_network(recipe.network, recipe.outputs)
        self._starts_warm = bool(recipe.start) or materials.start is not None
        fresh = self._start(network)
        self.network = device.placed(network).train()
        """In training."""
        self._replicas = Replicas(self.network, replicas, on_cpu=not device.is_cuda)
        self._average = WeightAverage(self.network, recipe.average)
        self._optimiser = build_optimiser(self.network, recipe.optimiser, fresh)
        self._loss = materials.loss.to(device.torch)
        self._membership = None if materials.membership is None else materials.membership.to(device.torch)
        self.counters = Counters()
        """Where the run is."""
        self._unchecked: list[tuple[int, Tensor, Tensor]] = []

    def _start(self, network: nn.Module) -> tuple[str, ...]:
        """Load the weights to start from, if any, and return the names of the parameters that begin fresh."""
        recipe, weights = self._recipe, self._materials.start
        if recipe.start:
            weights = load_weights(recipe.base_folder / recipe.start)
        if weights is None:
            return ()
        heads = head_weights(recipe.network, recipe.outputs)
        carry_over(network, weights, heads, self._materials.members)
        return () if self._materials.members is None else tuple(heads)

    def resume(self) -> None:
        """Take up the run where its last checkpoint left it. Raises TrainingError."""
        counters = read_checkpoint(self._folder.path, self.network, self._average.network, self._optimiser)
        known = {field.name for field in fields(Counters)}
        self.counters = Counters(**{key: value for key, value in counters.items() if key in known})
        self._folder.forget_after(self.counters.step)

    def run(self) -> Outcome:
        """Train until the budget is spent, the scores stand still, or a signal comes.

        Raises:
            TrainingError: the loss is no number, or a checkpoint cannot be written.
            SourceError: a picture cannot be read.
        """
        self._started = time.monotonic() - self.counters.seconds
        self._asked = (self.counters.step, self.counters.samples)
        self._reported = (time.monotonic(), self.counters.samples, self._progress())
        self._saved = time.monotonic()
        self._losses: list[Tensor] = []
        loader = BatchLoader(self._next_request, threads=self._loader_threads, pinned=self._device.is_cuda)
        with StopSignals() as stop:
            if self._starts_warm and self.counters.step == 0:
                self._validate(stop)  # so that a run never ends with less than it began with
            with loader, self._replicas:
                while stop.keep_going() and not self._finished() and (batch := loader.next()) is not None:
                    self._step(batch)
                    self._after_step(stop)
            return self._end(stop)

    def _progress(self) -> float:
        return self._recipe.schedule.progress(self.counters.step, self.counters.seconds)

    def _finished(self) -> bool:
        patience = self._recipe.validation.patience
        return self._progress() >= 1 or bool(patience and self.counters.since_best >= patience)

    def _next_request(self) -> BatchRequest | None:
        """Return what the batch after those already asked for is to be."""
        schedule, (step, samples) = self._recipe.schedule, self._asked
        progress = schedule.progress(step, self.counters.seconds)
        if progress >= 1:
            return None
        index = schedule.phase_index(progress)
        phase = schedule.phases[index]
        self._asked = (step + 1, samples + phase.batch)
        return BatchRequest(self._materials.sources[index], samples, phase.batch, phase.size_wh)

    def _step(self, batch: Batch) -> None:
        """Move the weights once."""
        counters, settings = self.counters, self._recipe.optimiser
        torch.manual_seed(self._recipe.seed * _SEED_STEP + counters.step)
        set_rate(self._optimiser, self._recipe.schedule.rate_at(self._progress()))
        fills = self._fills(batch)  # asked before the copy: an answer from a GPU would have to be waited for
        batch = batch.to(self._device.torch)
        loss = self._replicas.backward(self._filled(batch) if fills else batch, self._loss_of)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm or math.inf)
        self._optimiser.step()
        self._average.update(counters.step)
        counters.step += 1
        counters.samples += len(batch)
        self._losses.append(loss)
        self._unchecked.append((counters.step, loss, norm.detach()))

    def _loss_of(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch, or of a part of one."""
        with self._device.autocast():
            output = network(normalised(batch.pictures))
        loss: Tensor = self._loss(output, batch.targets, batch.ignored, batch.soft, batch.taught)[0]
        return loss

    def _fills(self, batch: Batch) -> bool:
        """Return whether it is time for pseudo-labels, and the batch has something open."""
        start = self._recipe.pseudo.start
        return start < 1 and self._progress() >= start and bool(batch.pseudo.any())

    def _filled(self, batch: Batch) -> Batch:
        """Return the batch with what its labels leave open filled in by the averaged network."""
        pseudo = self._recipe.pseudo
        if self._membership is None and batch.ignored is None:
            return batch
        with torch.no_grad(), self._device.autocast():
            logits: Tensor = self._average.network(normalised(batch.pictures))
        logits = logits.float()
        if self._membership is not None:
            filled = pseudo_batch(logits, batch.targets, self._membership, batch.pseudo, pseudo.confidence)
            return replace(batch, targets=filled)
        assert batch.ignored is not None
        target, ignored = pseudo_matte_batch(logits, batch.targets, batch.ignored, batch.pseudo, pseudo.confidence)
        return replace(batch, targets=target, ignored=ignored)

    def _check_numbers(self) -> None:
        """Raise TrainingError where a loss or a gradient is no number. Sync: waits for the device."""
        for step, loss, norm in self._unchecked:
            if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
                raise TrainingError(
                    f"training: got a loss of {float(loss):.3g} with a gradient of {float(norm):.3g} at step {step}; "
                    "expected finite numbers. Lower schedule.rate and resume from the last checkpoint, which is good."
                )
        self._unchecked.clear()

    def _after_step(self, stop: StopSignals) -> None:
        """Report, validate and save where it is time."""
        now = time.monotonic()
        self.counters.seconds = now - self._started
        if not self._device.is_cuda:  # on a GPU the check would wait for it; there it is done before every report
            self._check_numbers()
        if now - self._reported[0] >= REPORT_SECONDS or self.counters.step == 1 or self._finished():
            self._report(now)
        every = self._recipe.validation.every
        if self._progress() + 1e-9 >= (self.counters.validations + 1) * every:
            self._validate(stop)
            self._save()
        elif now - self._saved >= self._checkpoint_seconds:
            self._save()

    def _report(self, now: float) -> None:
        self._check_numbers()
        then, samples_then, share_then = self._reported
        counters, share = self.counters, self._progress()
        loss = float(torch.stack(self._losses).float().mean())
        progress = TrainingProgress(
            step=counters.step,
            samples=counters.samples,
            share=share,
            seconds=counters.seconds,
            left_seconds=left_seconds(share, share_then, now - then),
            loss=loss,
            rate=self._recipe.schedule.rate_at(share),
            samples_a_second=(counters.samples - samples_then) / max(1e-9, now - then),
        )
        self._losses, self._reported = [], (now, counters.samples, share)
        row = {"step": counters.step, "samples": counters.samples, "seconds": counters.seconds}
        self._folder.add_row(row | {"loss": loss, "rate": progress.rate})
        self._listener.on_progress(progress)

    def _save(self) -> None:
        """Write a checkpoint; never one with weights that are no numbers."""
        self._check_numbers()
        write_checkpoint(self._folder.path, self.network, self._average.network, self._optimiser, asdict(self.counters))
        self._saved = time.monotonic()

    def _validate(self, stop: StopSignals) -> None:
        """Score the averaged network, keep the best, draw; a signal in between leaves all as it was."""
        counters, sets = self.counters, self._materials.validation
        self._check_numbers()
        model = self.model()
        scores = score_sets(model, sets, stop.keep_going)
        if not stop.keep_going():
            return
        mean = scores["mean"]
        best = not sets or (not math.isnan(mean) and (counters.best is None or mean > counters.best))
        if best:
            counters.best, counters.best_step = (None if math.isnan(mean) else mean), counters.step
            self._keep_best(scores)
        counters.since_best = 0 if best else counters.since_best + 1
        counters.validated_step = counters.step
        counters.seconds = time.monotonic() - self._started
        counters.validations = math.floor(self._progress() / self._recipe.validation.every + 1e-9)
        if sets:
            row = {"step": counters.step, "samples": counters.samples, "seconds": counters.seconds}
            self._folder.add_row(row | {"scores": scores})
            self._listener.on_scores(counters.step, scores, best=best)
            self._draw_overlays(model)
        self._folder.draw()

    def model(self) -> TorchModel:
        """Return the averaged network as it is scored."""
        recipe = self._recipe
        size_wh = recipe.validation.size_wh or (recipe.export.size_wh if recipe.export else None)
        return TorchModel(
            self._average.network,
            recipe.class_names,
            size_wh or recipe.schedule.phases[-1].size_wh,
            self._device,
            matte=recipe.task == "matte",
        )

    def _keep_best(self, scores: Mapping[str, float]) -> None:
        facts = {
            "network": json.dumps(network_table(self._recipe.network)),
            "classes": json.dumps(self._recipe.class_names),
            "step": str(self.counters.step),
            "scores": json.dumps({key: None if math.isnan(value) else value for key, value in scores.items()}),
        }
        save_weights(self._average.network.state_dict(), self._folder.best, facts)

    def _draw_overlays(self, model: TorchModel) -> None:
        for each in self._materials.validation:
            shown = each.dataset.evenly(self._recipe.validation.overlays)
            if len(shown) and self._recipe.validation.overlays:
                path = self._folder.path / "overlays" / f"{self.counters.step:07d}-{each.settings.name}.png"
                draw_overlays(path, model, list(shown), each.dataset.taxonomy, self._recipe.palette)

    def _end(self, stop: StopSignals) -> Outcome:
        """Write the last state, score it where that was not done, and draw."""
        self._save()
        early = self._progress() < 1 and stop.keep_going()
        if stop.keep_going() and self.counters.validated_step != self.counters.step:
            self._validate(stop)
            self._save()
        self._folder.draw()
        return Outcome(self.counters, stop.number, stopped_early=early)
