"""Processor time with children, and the memory peak."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from rtseg.bench.processor import cpu_seconds, machine_cpu_seconds, memory_peak_mib, restart_memory_peak

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children and peaks are read from /proc")

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\nimport sys; sys.stdin.read()"


def test_a_child_counts_while_it_lives_and_after_it_has_ended():
    before = cpu_seconds()
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"burnt\n"
        living = cpu_seconds() - before
    ended = cpu_seconds() - before
    assert 0.28 <= living <= ended + 0.02
    assert ended < 1.5


def test_other_processes_show_in_the_machine_and_not_here():
    before = machine_cpu_seconds()
    if before is None:
        pytest.skip("this process may not use every core")
    own = time.process_time()
    subprocess.run([sys.executable, "-c", BURN], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    after = machine_cpu_seconds()
    assert after is not None
    assert after - before >= 0.25
    assert time.process_time() - own < 0.25


def test_the_memory_peak_starts_anew():
    block = bytearray(64 * 2**20)
    high = memory_peak_mib()
    del block
    restart_memory_peak()
    low = memory_peak_mib()
    assert high is not None
    assert low is not None
    if high == low:
        pytest.skip("this kernel does not let the peak be reset")
    assert high - low > 40
