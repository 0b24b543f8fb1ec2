"""The loop: repeatable, resumable, honest about numbers that are none."""

from __future__ import annotations

import json
import signal
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("safetensors", reason="training needs the extra `train`")

from rtseg.builder.export import load_weights  # noqa: E402
from rtseg.errors import ConfigError, TrainingError  # noqa: E402
from rtseg.train.device import choose_device  # noqa: E402
from rtseg.train.interrupt import StopSignals  # noqa: E402
from rtseg.train.loader import stacked  # noqa: E402
from rtseg.train.progress import Silent  # noqa: E402
from rtseg.train.samples import TrainingSample  # noqa: E402
from tests.train.tiny import Squares, squares_dataset, tiny_trainer, weights_of  # noqa: E402

pytestmark = pytest.mark.needs_torch
STEPS = 6


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Ringing(Squares):
    """Sends this process a signal when a sample is drawn."""

    def __init__(self, at, number):
        self.at, self.number = at, number

    def draw(self, index, size_wh):
        if index == self.at:
            signal.raise_signal(self.number)
        return super().draw(index, size_wh)


class Recording(Silent):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_progress(self, progress):
        self.seen.append(progress)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    before = torch.get_num_threads()
    trainer = tiny_trainer(tmp_path_factory.mktemp("whole"), STEPS)
    outcome = trainer.run()
    torch.set_num_threads(before)
    return trainer, outcome


def test_a_run_ends_with_everything_in_its_folder(whole):
    trainer, outcome = whole
    folder = trainer._folder.path
    assert (outcome.counters.step, outcome.counters.samples, outcome.signal) == (STEPS, 2 * STEPS, None)
    names = {path.name for path in folder.iterdir()}
    assert {"recipe.toml", "curves.jsonl", "curves.png", "last.safetensors", "best.safetensors"} <= names
    assert not [name for name in names if name.startswith(".part")]
    rows = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    assert [rows[0]["step"], rows[-1]["step"]] == [1, STEPS]
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_best_weights_are_the_averaged_ones(whole):
    trainer, _ = whole
    stored = load_weights(trainer._folder.best)
    for name, value in trainer._average.network.state_dict().items():
        assert torch.allclose(stored[name].float(), value.float(), rtol=1e-3, atol=1e-4), name


def test_a_run_that_was_stopped_ends_equal_to_one_that_was_not(whole, tmp_path):
    stopped = tiny_trainer(tmp_path, STEPS, source=Ringing(5, signal.SIGINT))
    with pytest.MonkeyPatch.context() as patch:  # the loader's threads may not take signals: draw in this one
        patch.setattr("rtseg.train.loader.ThreadPoolExecutor", Immediate)
        outcome = stopped.run()
    assert outcome.signal == signal.SIGINT
    assert 0 < outcome.counters.step < STEPS
    resumed = tiny_trainer(tmp_path, STEPS, resume=True)
    assert resumed.counters.step == outcome.counters.step
    assert resumed.run().counters.step == STEPS
    assert same(weights_of(whole[0]), weights_of(resumed))
    steps = [row["step"] for row in resumed._folder.rows()]
    assert steps == sorted(steps)


def test_in_parts_too_a_stopped_run_ends_equal(tmp_path):
    settings = {
        "replicas": 2,
        "network": {"name": "DdrNet", "planes": 8, "pool_channels": 16, "head_channels": 16},
        "optimiser": {"name": "muon"},
        "schedule": {"steps": 4, "rate": 0.01, "phases": [{"size_wh": [64, 64], "batch": 4}]},
    }
    whole = tiny_trainer(tmp_path / "whole", **settings)
    whole.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rtseg.train.loader.ThreadPoolExecutor", Immediate)
        stopped = tiny_trainer(tmp_path / "parts", source=Ringing(9, signal.SIGINT), **settings).run()
    assert 0 < stopped.counters.step < 4
    resumed = tiny_trainer(tmp_path / "parts", resume=True, **settings)
    assert resumed.run().counters.step == 4
    assert same(weights_of(whole), weights_of(resumed))


def test_both_signals_are_noted_and_a_second_ctrl_c_ends_at_once():
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        with StopSignals() as stop:
            assert stop.keep_going()
            signal.raise_signal(number)
            assert (stop.number, stop.keep_going()) == (number, False)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(number) == before


class Immediate:
    """An executor that works in the calling thread."""

    def __init__(self, *_args, **_named):
        pass

    def submit(self, function, *args):
        from concurrent.futures import Future

        done = Future()
        done.set_result(function(*args))
        return done

    def shutdown(self, **_named):
        pass


def test_dropout_is_the_same_after_a_resume_because_each_step_has_its_seed(whole, tmp_path):
    """The positive control: with another seed the same samples end in other weights."""
    other = tiny_trainer(tmp_path, STEPS, seed=1)
    other.network.load_state_dict(tiny_trainer(tmp_path / "b", STEPS).network.state_dict())
    other.run()
    assert not same(weights_of(whole[0]), weights_of(other))


def test_no_thread_and_no_signal_handler_is_left(whole, tmp_path):
    before = threading.active_count(), signal.getsignal(signal.SIGINT)
    tiny_trainer(tmp_path, 2).run()
    assert (threading.active_count(), signal.getsignal(signal.SIGINT)) == before


class Poisoned(torch.nn.Module):
    """A loss that is no number from some call on."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, output, *what_is_right):
        self.calls -= 1
        factor = 1.0 if self.calls > 0 else float("nan")
        return output[0].float().square().mean() * factor, {}


def test_a_loss_that_is_no_number_stops_and_keeps_the_good_checkpoint(tmp_path):
    trainer = tiny_trainer(tmp_path, STEPS, every_step=True)
    trainer._loss = Poisoned(3)
    with pytest.raises(TrainingError, match=r"got a loss of nan .* at step 3"):
        trainer.run()
    resumed = tiny_trainer(tmp_path, STEPS, resume=True)
    assert resumed.counters.step == 2
    assert all(torch.isfinite(value).all() for value in weights_of(resumed).values())


def test_progress_is_told_with_the_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr("rtseg.train.loop.REPORT_SECONDS", 0.0)
    listener = Recording()
    tiny_trainer(tmp_path, 4, listener=listener).run()
    assert [p.step for p in listener.seen] == [1, 2, 3, 4]
    assert [p.share for p in listener.seen] == [0.25, 0.5, 0.75, 1]
    assert listener.seen[-1].left_seconds == 0
    assert listener.seen[1].left_seconds > 0


def test_it_learns_squares_and_never_ends_with_less_than_it_began_with(tmp_path):
    validation = squares_dataset(tmp_path / "data")
    first = tiny_trainer(tmp_path / "first", 24, validation=validation)
    learnt = first.run().counters.best
    assert learnt > 0.6
    assert list((tmp_path / "first" / "overlays").glob("*.png"))
    # Starting from those weights with a rate that ruins them, the best is what it started from.
    again = tiny_trainer(
        tmp_path / "again", 4, validation=validation, start=str(first._folder.best.resolve()),
        schedule={"steps": 4, "rate": 5.0, "phases": [{"size_wh": [64, 64], "batch": 2}]}, average={"horizon": 1},
    )  # fmt: skip
    outcome = again.run()
    assert outcome.counters.best_step == 0
    assert outcome.counters.best == pytest.approx(learnt, abs=0.02)


def test_scores_that_stand_still_end_the_run(tmp_path):
    trainer = tiny_trainer(
        tmp_path / "run", 40, validation=squares_dataset(tmp_path / "data"),
        schedule={"steps": 40, "rate": 1e-12, "phases": [{"size_wh": [64, 64], "batch": 2}]},
        average={"horizon": 100000}, validation_settings={"every": 0.025, "patience": 2},
    )  # fmt: skip
    outcome = trainer.run()
    assert outcome.stopped_early
    assert outcome.counters.step < 10


def test_a_run_is_not_begun_in_the_folder_of_another(whole, tmp_path):
    folder = whole[0]._folder.path
    with pytest.raises(ConfigError, match=r"which holds a run; expected a new folder. Add --resume"):
        tiny_trainer(folder, STEPS)
    with pytest.raises(ConfigError, match=r"--resume: got network .* with which the run began"):
        tiny_trainer(folder, STEPS, resume=True, network={"name": "BiSeNetV2", "width": 0.25})


class Unlabelled(Squares):
    """Samples without labels, which the averaged network may label."""

    def draw(self, index, size_wh):
        sample = super().draw(index, size_wh)
        return TrainingSample(sample.rgb, np.full_like(sample.target, 255), pseudo=True)


def test_what_labels_leave_open_is_filled_in_when_it_is_time(tmp_path):
    trainer = tiny_trainer(tmp_path, 8, source=Unlabelled(), pseudo={"start": 0.5, "confidence": 0.5001})
    sample = Unlabelled().draw(0, (64, 64))
    batch = stacked([sample])
    assert not trainer._fills(batch)
    trainer.counters.step = 4
    assert trainer._fills(batch)
    filled = trainer._filled(batch).targets
    assert (batch.targets == 255).all()
    assert (filled != 255).float().mean() > 0.5
    assert not trainer._fills(stacked([Squares().draw(0, (64, 64))]))


@pytest.mark.needs_cuda
def test_a_gpu_trains_the_same_recipe(tmp_path):
    trainer = tiny_trainer(tmp_path, 8, device=choose_device("cuda"))
    assert next(trainer.network.parameters()).is_cuda
    outcome = trainer.run()
    assert outcome.counters.step == 8
    rows = trainer._folder.rows()
    assert rows[-1]["loss"] < rows[0]["loss"]
    resumed = tiny_trainer(tmp_path, 12, resume=True, device=choose_device("cuda"))
    assert resumed.run().counters.step == 12
