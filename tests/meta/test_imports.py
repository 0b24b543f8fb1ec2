"""What importing the package and asking for help may cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

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


def least_cpu_seconds(words: list[str], tries: int = 3) -> float:
    """The least processor time of several runs: what the code costs, whatever else the machine is doing."""
    best = float("inf")
    for _ in range(tries):
        child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="processor time of a child is read with wait4")
@pytest.mark.parametrize("words", [["-c", "import rtseg"], ["-m", "rtseg", "--help"]], ids=["import", "help"])
def test_import_and_help_are_quick(words):
    assert least_cpu_seconds(words) < BUDGET_SECONDS
