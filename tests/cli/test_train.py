"""`rtseg train` from the command line: killed and resumed, fine-tuned, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rtseg.cli import main

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("safetensors", reason="training needs the extra `train`")
pytest.importorskip("onnx", reason="training needs the extra `train`")

import rtseg  # noqa: E402
from rtseg.builder.toml_text import toml_text  # noqa: E402
from rtseg.cli.training_display import Lines, left_text  # noqa: E402
from rtseg.train.progress import TrainingProgress, left_seconds  # noqa: E402
from tests.train.tiny import CLASSES, NETWORK, write_squares  # noqa: E402

pytestmark = pytest.mark.needs_torch
STEPS = 12


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe of squares on disk, beside its data."""
    folder = tmp_path_factory.mktemp("recipe")
    write_squares(folder / "data", 8)
    (folder / "squares.toml").write_text(toml_text({"classes": CLASSES}))
    tables = {
        "network": NETWORK,
        "classes": {"taxonomy": "squares.toml"},
        "set": [{"name": "squares", "path": "data", "taxonomy": "squares.toml"}],
        "schedule": {"steps": STEPS, "rate": 0.01, "phases": [{"size_wh": [64, 64], "batch": 2}]},
        "average": {"horizon": 5},
        "validation": {
            "set": [{"name": "held", "path": "data", "taxonomy": "squares.toml", "limit": 2}],
            "every": 0.34,
            "overlays": 1,
        },
        "export": {"name": "squares", "size_wh": [64, 64], "licence": "none"},
    }
    path = folder / "squares-recipe.toml"
    path.write_text(toml_text(tables))
    return path


def train(*words):
    return main(["train", *map(str, words), "--device", "cpu", "--threads", "1", "-q"])


def weights_in(folder):
    from safetensors.torch import load_file

    return load_file(folder / "last.safetensors")


def step_of(folder):
    from safetensors import safe_open

    with safe_open(folder / "last.safetensors", "pt") as file:
        return json.loads(file.metadata()["counters"])["step"]


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train(recipe, "--out", folder) == 0
    return folder


def killed(words, folder):
    """Start the command, and kill it (SIGKILL) when its first checkpoint is there."""
    process = subprocess.Popen([sys.executable, "-m", "rtseg", "train", *map(str, words), "--threads", "1", "-q"])
    try:
        for _ in range(20_000):
            if (folder / "last.safetensors").exists() or process.poll() is not None:
                break
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
    finally:
        assert process.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL is POSIX")
def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(recipe, whole, tmp_path, capsys):
    folder = tmp_path / "killed"
    killed([recipe, "--out", folder, "--device", "cpu"], folder)
    assert 0 < step_of(folder) < STEPS
    rows = (folder / "curves.jsonl").read_text().splitlines()
    assert train("--out", folder, "--resume") == 0  # the recipe is in the folder
    assert len((folder / "curves.jsonl").read_text().splitlines()) > len(rows)
    expected, found = weights_in(whole), weights_in(folder)
    assert set(expected) == set(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert f"{STEPS} steps" in capsys.readouterr().out


def test_a_run_ends_with_a_bundle_that_loads(whole):
    with rtseg.load(str(whole / "bundle")) as segmenter:
        assert segmenter.classes == tuple(CLASSES)
        assert segmenter.bundle.scores["held_miou"] > 0.3
        assert segmenter.bundle.training["samples_seen"] == 2 * STEPS


def test_a_bundle_of_ones_own_is_fine_tuned_in_one_line(whole, tmp_path, clip, capsys):
    data = write_squares(tmp_path / "data", 8)
    (data / "classes.txt").write_text("ground\nsquare\n")
    mine = tmp_path / "mine"
    assert train("--from", whole / "bundle", "--data", data, "--out", mine, "--steps", "2") == 0
    said = capsys.readouterr().out
    assert "fine-tuning squares to ground, square (all with its weights)" in said
    before, after = (float(word) for word in said.split("miou")[-1].split()[:2])
    assert after >= before - 0.02
    assert main(["run", str(clip), "-m", str(mine), "-o", "null", "-q"]) == 0
    assert main(["eval", str(mine), str(data), "-t", str(mine / "run" / "classes.toml"), "-q"]) == 0
    assert (mine / "run" / "curves.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "got no recipe; expected RECIPE.toml"),
        (["none.toml"], "expected a TOML file"),
        (["--from", "street"], "expected --from BUNDLE --data FOLDER"),
        (["--data", "x"], "without --from"),
        (["--from", "steet", "--data", "x"], "Did you mean 'street'"),
        (["--from", "street", "--data", "nowhere"], "got nowhere, no folder"),
        (["r.toml", "--minutes", "1", "--steps", "2"], "expected one budget"),
    ],
)
def test_what_cannot_be_trained_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train(*words) in (1, 2)
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_a_run_is_not_written_over(recipe, whole, capsys):
    assert train(recipe, "--out", whole) == 2
    assert "Add --resume" in capsys.readouterr().err


def test_plain_lines_say_how_long_it_still_takes(capsys):
    progress = TrainingProgress(3, 24, 0.25, 10.0, left_seconds(0.25, 0.2, 2.0), 1.5, 1e-3, 12.0)
    lines = Lines()
    lines.on_progress(progress)
    lines.on_progress(progress)  # too soon for another
    assert capsys.readouterr().err == "step 3  25%  loss 1.500  rate 1.0e-03  12.0 pictures/s  left 0:30\n"
    assert left_seconds(0.2, 0.2, 2.0) is None
    assert left_text(TrainingProgress(1, 1, 0, 0, 3909.0, 1, 1, 1)) == "left 1:05:09"
