"""`rtseg eval` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtseg.cli import main
from tests.evaluate.parts import person_set

FAKE = ["--backend", "fake"]


def test_pictures_are_scored_and_written_as_json(tmp_path, capsys):
    found = tmp_path / "score.json"
    words = ["eval", "person", str(person_set(tmp_path / "set")), "--taxonomy", "person", "--json", str(found)]
    assert main([*words, *FAKE]) == 0
    shown = capsys.readouterr().out
    assert "person IoU 100.00" in shown
    assert "split hash" in shown
    report = json.loads(found.read_text())
    assert report["headline"] == {"person": 1.0}
    assert {"totals", "classes", "call_ms", "protocol"} <= set(report)
    assert report["protocol"]["machine"]["cores"]
    assert str(tmp_path) not in found.read_text()


def test_limit_list_and_layout(tmp_path, capsys):
    data = str(person_set(tmp_path / "set", 6))
    words = ["eval", "person", data, "-t", "person", "--layout", "binary", *FAKE]
    assert main([*words, "--limit", "2"]) == 0
    assert "pictures            2" in capsys.readouterr().out
    (tmp_path / "list.txt").write_text("s1\ns4\ns5\n")
    (tmp_path / "list.toml").write_text('val = ["s0"]')
    for spec, count in ((tmp_path / "list.txt", 3), (f"{tmp_path / 'list.toml'}:val", 1)):
        assert main([*words, "--list", str(spec)]) == 0
        assert f"pictures            {count}" in capsys.readouterr().out


def test_sequences_are_scored_each_and_their_mean(tmp_path, capsys):
    person_set(tmp_path / "walk")
    person_set(tmp_path / "run", shift_px=16)
    found = tmp_path / "s.json"
    assert main(["eval", "person", str(tmp_path), "-t", "person", "--sequences", "--json", str(found), *FAKE]) == 0
    shown = capsys.readouterr().out
    assert "mean  person IoU 80.00" in shown
    report = json.loads(found.read_text())
    assert report["headline"]["person"] == pytest.approx(0.8)
    assert set(report["sequences"]) == {"walk", "run"}


def test_models_and_views_are_averaged(tmp_path, capsys):
    data = str(person_set(tmp_path / "set", 1))
    assert main(["eval", "person+person", data, "-t", "person", "--tta", "flip"]) == 0
    shown = capsys.readouterr().out
    assert "person+person" in shown
    assert "flip" in shown


def test_a_video_is_scored_for_calm(clip, tmp_path, capsys):
    found = tmp_path / "calm.json"
    words = ["eval", "person", str(clip), "--taxonomy", "none", "--limit", "6", "--json", str(found), *FAKE]
    assert main(words) == 0
    assert "smoothing off" in capsys.readouterr().out
    report = json.loads(found.read_text())
    assert report["frames"] == 6
    assert report["flips_per_pixel_second"]["smoothing_off"] is not None


@pytest.mark.parametrize(
    ("words", "code", "telling"),
    [
        (["person", "set"], 2, "taxonomy"),
        (["person", "set", "-t", "people"], 2, "camvid11"),
        (["person", "nowhere", "-t", "person"], 1, "nowhere"),
        (["persn", "set", "-t", "person"], 2, "person"),
        (["person", "set", "-t", "person", "--size", "half"], 2, "label or network"),
        (["person", "set", "-t", "person", "--layout", "pascal"], 2, "voc"),
        (["person", "set", "-t", "person", "--list", "gone.txt"], 2, "gone.txt"),
        (["person", "set", "-t", "person", "--json", "no/such/folder.json"], 2, "--json"),
        (["person", "set", "-t", "person", "--limit", "0"], 2, "limit"),
        (["person", "set", "-t", "person", "--model-option", "size"], 2, "KEY=VALUE"),
        (["person", "set", "-t", "person", "--sequences"], 1, "images/"),
        (["person", "set", "-t", "matte", "--layout", "folder"], 2, "alpha"),
        (["person", "synthetic:desk", "-t", "none", "--split", "val"], 2, "--split"),
        (["person+person", "set", "-t", "person"], 2, "openvino and fp32"),
        (["person", "set", "-t", "person", "--tta", "flip", "--precision", "int8"], 2, "openvino and fp32"),
    ],
)
def test_bad_input_is_one_clear_line_and_an_exit_code(words, code, telling, tmp_path, monkeypatch, capsys):
    person_set(tmp_path / "set", 1)
    monkeypatch.chdir(tmp_path)
    assert main(["eval", *words, *FAKE]) == code
    shown = capsys.readouterr()
    assert telling in shown.err + shown.out
    assert "Traceback" not in shown.err


def test_help_names_the_taxonomies(capsys):
    from rtseg.datasets import LAYOUTS, list_taxonomies

    assert main(["eval", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in (*list_taxonomies(), *LAYOUTS):
        assert name in shown


def test_help_imports_nothing_heavy():
    code = "from rtseg.cli import main; main(['eval', '--help']); import sys; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "'rtseg.cli.eval'" in done.stdout
    assert not [name for name in ("cv2", "openvino", "av", "torch") if f"'{name}'" in done.stdout]
