"""What importing the package and asking for help may cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "cv2", "openvino", "av", "tensorrt", "matplotlib"}
BUDGET_SECONDS = 0.3


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    "code",
    [
        "import rtseg",
        "import rtseg.cli.app",
        "from rtseg.cli import main; main(['--help'])",
        "from rtseg.cli import main; main(['run', '--help'])",
    ],
)
def test_light_entry_points_import_nothing_heavy(code):
    assert modules_after(code) & HEAVY == set()


def test_the_check_above_would_notice_a_heavy_import():
    assert "cv2" in modules_after("import rtseg.geometry")


def fastest_seconds(words: list[str], tries: int = 5) -> float:
    """The least of several runs: what the code costs, without what the machine was doing meanwhile."""
    best = float("inf")
    for _ in range(tries):
        started = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=True, timeout=60)
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize("words", [["-c", "import rtseg"], ["-m", "rtseg", "--help"]], ids=["import", "help"])
def test_import_and_help_are_quick(words):
    assert fastest_seconds(words) < BUDGET_SECONDS
