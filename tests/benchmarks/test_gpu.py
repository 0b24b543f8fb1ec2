"""The command that proves the rest on a GPU: its guards, its verdicts and its table; its parts run dry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import check, table, targets
from tests.conftest import PRESENT, ROOT

STAGES = {"copy in": 0.06, "compute": 0.5, "copy out": 0.06}


def case(**changes):
    return (
        {"fps": 1500.0, "resident": 1600.0, "efficiency": 0.9375, "cpu_cores": 0.7, "stages_ms": STAGES}
        | {"backend": "torch fp16"}
        | changes
    )


def measured(**changes):
    """What a fast GPU might say; every test's own numbers, never committed."""
    times = {"kernel_ms": 0.02, "copy_ms": 0.015, "ratio": 1.33}
    bare = {"fps": 2000.0, "latency_ms": {"p50": 0.6, "p99": 0.7}}
    results = {
        "efficiency": {"street driving 1080p": case(), "person blur 720p": case()},
        "latency": {"street 1080p": {"latency_ms": {"p50": 1.0, "p99": 1.2}, "backend": "torch fp16"}},
        "kernel_times": {
            "1080p batch 1": {"preprocess": times, "composite tint": times},
            "4K batch 1": {"preprocess": times | {"ratio": 1.5}},
            "1080p batch 8": {"preprocess": times | {"ratio": 2.0}},
        },
        "bare": {"street torch fp16 1024x512": bare, "street tensorrt fp16 1024x512": bare},
        "naive": {"eager": {"fps": 500.0}},
    } | changes
    return {name: {"result": result} for name, result in results.items()}


def verdicts(parts):
    return {line["target"]: line["verdict"] for line in targets.judge(parts)}


def test_targets_are_met_or_missed_by_how_much():
    found = verdicts(measured())
    assert found["pipeline efficiency at 1080p"] == "met"
    assert found["street 1024x512 fp16, composited 1080p"] == "met"
    assert found["preprocess at 4K"] == "met"
    assert found["TensorRT against eager torch fp16"] == "met"
    slow = verdicts(measured(efficiency={"street driving 1080p": case(efficiency=0.45, fps=500.0, cpu_cores=2.0)}))
    assert slow["pipeline efficiency at 1080p"] == "missed by 50%"
    assert slow["street 1024x512 fp16, composited 1080p"] == "missed by 50%"
    assert slow["cores at 1080p"] == "missed by 100%"
    assert slow["mask plus composite at 720p"] == "not measured"


def test_preprocess_at_batch_8_is_not_that_of_batch_1():
    parts = measured()
    line = next(line for line in targets.judge(parts) if line["target"] == "preprocess at batch 8")
    assert line["value"] == 2.0
    assert line["verdict"] == "missed by 25%"


def test_what_failed_is_not_measured_and_no_number_is_made_up():
    for line in targets.judge({name: {"result": None} for name in check.BUDGETS}):
        assert line["verdict"] == "not measured"
        assert "value" not in line


@pytest.mark.needs_torch
def test_one_part_that_fails_is_recorded_and_goes_no_further(capsys):
    def broken(where, budget):
        raise ValueError("planted")

    record = check.guarded("kernels", broken, None)
    assert record["error"] == "ValueError: planted"
    assert record["result"] is None
    fine = check.guarded("kernels", lambda where, budget: {"left": budget.seconds}, None)
    assert fine["error"] is None
    assert fine["result"] == {"left": check.BUDGETS["kernels"]}
    capsys.readouterr()


def test_the_budgets_fit_into_nine_minutes():
    assert sum(check.BUDGETS.values()) <= 9 * 60 - 20


@pytest.mark.skipif(PRESENT["cuda"](), reason="there is a GPU")
def test_without_a_gpu_the_file_says_so_and_has_no_number(tmp_path, capsys):
    assert check.main(["--out", str(tmp_path / "none.json")]) == 2
    document = json.loads((tmp_path / "none.json").read_text())
    assert document["gpu"] is None
    assert document["parts"] == {}
    assert document["targets"] == []
    assert "No GPU was at hand" in document["note"]
    capsys.readouterr()


def result_document(**changes):
    parts = measured()
    parts["engines"] = {"result": {"refused": ["tensorrt: BackendUnavailable: no sm_90 target"]}}
    return {
        "date": "2026-01-02",
        "dry": False,
        "gpu": {"gpu": "NVIDIA Test", "driver": "1.2"},
        "machine": {"versions": {"torch": "2.0"}},
        "parts": parts,
        "targets": targets.judge(parts),
    } | changes


def test_the_table_names_the_gpu_what_was_refused_and_every_target():
    text = table.table(result_document())
    assert "NVIDIA Test, driver 1.2, torch 2.0; 2026-01-02." in text
    assert "Could not be used: tensorrt: BackendUnavailable: no sm_90 target" in text
    assert "| street driving 1080p | torch fp16 | 1500 | 1600 | 0.94 | 0.70 | 0.060 / 0.500 / 0.060 |" in text
    assert text.count("| met |") + text.count("missed by") == len(targets.TARGETS)


def test_dry_runs_and_machines_without_a_gpu_fill_no_table(tmp_path):
    (tmp_path / "gpu-dry.json").write_text(json.dumps(result_document(dry=True)))
    (tmp_path / "gpu-none.json").write_text(json.dumps(result_document(gpu=None)))
    assert table.newest(tmp_path) is None
    assert table.table(None) == table.NOTHING
    (tmp_path / "gpu-old.json").write_text(json.dumps(result_document(date="2025-01-01")))
    (tmp_path / "gpu-new.json").write_text(json.dumps(result_document()))
    assert table.newest(tmp_path)["date"] == "2026-01-02"


def test_the_table_in_the_readme_is_what_the_committed_results_say():
    assert table.main(["--check"]) == 0


def test_a_readme_without_markers_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    with pytest.raises(SystemExit, match="markers"):
        table.main(["--readme", str(readme)])
    readme.write_text(f"a {table.BEGIN} old {table.END} b")
    assert table.main(["--readme", str(readme), "--results", str(tmp_path), "--check"]) == 1
    assert table.main(["--readme", str(readme), "--results", str(tmp_path)]) == 0
    assert table.NOTHING in readme.read_text()


@pytest.mark.needs_torch
@pytest.mark.timeout(300)
def test_the_pipeline_part_really_runs_dry_without_video_or_openvino(tmp_path):
    pytest.importorskip("triton")
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import sys\n"
        "for name in ('av', 'openvino', 'onnx', 'onnxruntime', 'platformdirs', 'typer', 'rich', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
    )
    out = tmp_path / "dry.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu/check.py", "--out", str(out), "--dry", "--parts", "steady"],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": str(Path(sys.executable).parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts = json.loads(out.read_text())["parts"]
    assert list(parts) == ["steady"]
    assert parts["steady"]["result"]["frames"] == 4
    assert json.loads(out.read_text())["targets"] == []
