"""`rtseg bench` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtseg.cli import main
from tests.bench.documents import document as made_document
from tests.bench.documents import result as made_result

FAKE = ["--backend", "fake", "--seconds", "0.05", "--repeats", "1", "-q"]


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr("rtseg.bench.window.MOST_WARM_UP_SECONDS", 0.1)
    monkeypatch.setattr("rtseg.bench.parts.MOST_KEPT_FRAMES", 12)


def test_a_table_and_a_document(clip, tmp_path, capsys):
    out = tmp_path / "b.json"
    words = ["bench", "person", "-i", str(clip), "-e", "tint", "-o", "null,.mp4", "--json", str(out), *FAKE]
    assert main(words) == 0
    document = json.loads(out.read_text())
    assert [result["sink"] for result in document["results"]] == ["null", ".mp4"]
    assert document["interrupted"] is False
    shown = capsys.readouterr().out
    assert "2 against 1: " in shown
    assert "not timed: " in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "clip.mp4"]


def test_lists_become_combinations_and_what_cannot_run_is_told(clip, tmp_path, capsys):
    out = tmp_path / "b.json"
    words = ["bench", "person", "-i", str(clip), "-e", "blur:strength=0.5", "-e", "tint,sparkle", *FAKE]
    assert main([*words, "--json", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert [result["effect"] for result in results] == ["blur:strength=0.5", "tint", "sparkle"]
    assert "not run: clip.mp4 -> person" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "telling"),
    [
        (["strete"], 2, "street"),
        (["-e", "blurr"], 2, "blur"),
        (["-o", "nul"], 2, "--sink"),
        (["-i", "nothing.mp4"], 1, "nothing.mp4"),
        (["--policy", "newest"], 2, "freshest"),
        (["--precision", "fp7"], 2, "bf16"),
        (["--size", "big"], 2, "size"),
        (["--seconds", "0"], 2, "--seconds"),
        (["--repeats", "0"], 2, "--repeats"),
        (["--find-capacity"], 2, "--pace 30"),
        (["--json", "no/such/folder.json"], 2, "--json"),
        (["--html", "report.txt"], 2, ".html"),
        (["--codec", "h266", "-o", "mp4"], 2, "codec"),
        (["compare", "a.json"], 2, "two"),
        (["--fail-on-worse"], 2, "compare A.json B.json"),
        (["compare", "a.json", "b.json"], 2, "a.json"),
    ],
)
def test_bad_input_is_one_clear_line_and_an_exit_code(words, code, telling, clip, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source = [] if "-i" in words else ["-i", str(clip)]
    assert main(["bench", *FAKE, *words, *source]) == code
    shown = capsys.readouterr()
    assert telling in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_no_result_file_is_cannot_be_compared(tmp_path, capsys):
    for name, text in (("a.json", "{}"), ("b.json", "[")):
        (tmp_path / name).write_text(text)
        assert main(["bench", "compare", str(tmp_path / name), str(tmp_path / name)]) == 2
        assert "rtseg bench --json" in capsys.readouterr().err


def test_compare_fails_on_what_is_worse_only_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, fps in (("slow", (30.0, 30.5, 31.0)), ("quick", (60.0, 61.0, 60.5))):
        (tmp_path / f"{name}.json").write_text(json.dumps(made_document(made_result(fps=fps))))
    assert main(["bench", "compare", "quick.json", "slow.json", "--fail-on-worse"]) == 1
    assert "fps: 60.5 -> 30.5 (-49.6%): worse" in capsys.readouterr().out
    assert main(["bench", "compare", "slow.json", "quick.json", "--fail-on-worse"]) == 0
    assert main(["bench", "compare", "quick.json", "slow.json"]) == 0


TELLING = """
import rtseg.bench.window
from rtseg.bench.run import Bench
from rtseg.cli import entry
original = Bench._round
def told(self, number):
    print("round", number, flush=True)
    original(self, number)
Bench._round = told
rtseg.bench.window.MOST_WARM_UP_SECONDS = 0.1
entry()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interruption_keeps_what_was_measured(clip, tmp_path, signal_name, code):
    import signal

    out = tmp_path / "b.json"
    words = [sys.executable, "-c", TELLING, "bench", "person", "-i", str(clip), "-e", "tint", "--backend", "fake"]
    words += ["--seconds", "0.1", "--repeats", "1000", "--sources", "2", "--json", str(out)]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2)] == ["round 0\n", "round 1\n"]
    child.send_signal(getattr(signal, signal_name))
    stdout, stderr = child.communicate(timeout=30)
    assert child.returncode == code
    assert "Traceback" not in stderr
    assert "what was measured is kept" in stderr
    document = json.loads(out.read_text())
    assert document["interrupted"] is True
    assert document["results"][0]["error"] is None
    assert 1 <= document["results"][0]["repeats"] < 1000
    assert "clip.mp4 -> person" in stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "clip.mp4"]
