"""Energy and GPU meters, on stand-ins for what a kernel and a driver tell."""

from __future__ import annotations

import os
import sys
import time

import pytest

from rtseg.bench import gpu
from rtseg.bench.energy import EnergyMeter, energy_counters


def make_zone(root, name: str, energy_uj: int, range_uj: int = 1_000_000):
    zone = root / name
    zone.mkdir()
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return zone


def test_energy_is_summed_over_packages_and_survives_the_counter_starting_over(tmp_path):
    first = make_zone(tmp_path, "intel-rapl:0", 999_000)
    second = make_zone(tmp_path, "intel-rapl:1", 10)
    make_zone(tmp_path, "intel-rapl:0:0", 5)  # a part of the first
    meter = EnergyMeter(energy_counters(tmp_path))
    (first / "energy_uj").write_text("1000\n")
    (second / "energy_uj").write_text("500010\n")
    assert meter.lap_joules() == pytest.approx((2001 + 500_000) / 1e6)
    assert meter.lap_joules() == 0


def test_without_a_counter_that_can_be_read_there_is_no_energy(tmp_path):
    assert EnergyMeter(energy_counters(tmp_path)).lap_joules() is None
    zone = make_zone(tmp_path, "intel-rapl:0", 1)
    meter = EnergyMeter(energy_counters(tmp_path))
    (zone / "energy_uj").unlink()
    assert meter.lap_joules() is None


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An nvidia-smi that answers what the test writes into its file."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands in for the tool")
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$1" in *=name) echo "NVIDIA Test GPU";; *) cat "$(dirname "$0")/answer";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpu._NvidiaSmi, "interval_seconds", 0.02)
    return tmp_path / "answer"


def test_share_power_and_memory_of_a_gpu(smi):
    smi.write_text("40, 100.5, 2048\n")
    with gpu.GpuMeter() as meter:
        time.sleep(0.2)
        smi.write_text("60, [N/A], 4096\n")
        time.sleep(0.3)
    found = meter.summary()
    assert gpu.gpu_name() == "NVIDIA Test GPU"
    assert found is not None
    assert 0.4 < found["share"] < 0.6
    assert found["power_w"] == pytest.approx(100.5)
    assert found["vram_mib"] == 4096


def test_a_tool_that_fails_is_no_gpu(smi, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'no devices were found'; exit 9\n")
    assert gpu.gpu_name() is None
    with gpu.GpuMeter() as meter:
        time.sleep(0.05)
    assert meter.summary() is None
