"""What the driver and torch's own file say, understood."""

from __future__ import annotations

import ctypes

import pytest

from rtseg.backends import device_facts
from rtseg.backends.device_facts import TorchBuild, build_of, bytes_text, facts_of
from rtseg.cuda_device import CudaDevice
from rtseg.errors import BackendUnavailable

DEVICE = CudaDevice("NVIDIA Fake", "8.9", "580.95.05")


class Driver:
    """The three calls of the CUDA driver library; one of them may fail."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing

    def put(self, name: str, pointer, kind, value: int) -> int:
        ctypes.cast(pointer, ctypes.POINTER(kind)).contents.value = value
        return int(name == self.failing)

    def cuDriverGetVersion(self, pointer) -> int:
        return self.put("version", pointer, ctypes.c_int, 12080)

    def cuDeviceGet(self, pointer, index) -> int:
        return self.put("device", pointer, ctypes.c_int, index)

    def cuDeviceTotalMem_v2(self, pointer, handle) -> int:
        return self.put("memory", pointer, ctypes.c_size_t, 24 * 2**30)


def test_facts_come_from_the_driver():
    facts = facts_of(DEVICE, Driver())
    assert (facts.cuda, facts.memory_bytes) == ((12, 8), 24 * 2**30)
    assert str(facts) == "NVIDIA Fake, 24.0 GiB, driver 580.95.05"
    assert facts.to_json()["driver_cuda"] == "12.8"


@pytest.mark.parametrize("failing", ["version", "device", "memory"])
def test_a_driver_that_refuses_is_no_gpu(failing):
    assert facts_of(DEVICE, Driver(failing)) is None


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", TorchBuild("2.13.0+cpu", None)),
        ("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n", TorchBuild("2.13.0+cu130", (13, 0))),
        ('__version__ = "2.4.0"\ncuda = "12.4"\nhip = None\n', TorchBuild("2.4.0", (12, 4))),
        ("__version__ = '2.9.0'\ncuda: Optional[str] = None\nhip = '6.4'\n", TorchBuild("2.9.0", None)),
    ],
)
def test_the_build_is_read_from_torchs_own_file(text, build):
    assert build_of(text) == build


@pytest.mark.needs_torch
def test_the_installed_torch_is_what_it_says_of_itself():
    import torch

    found = device_facts.torch_build()
    assert found.version == torch.__version__
    assert (found.cuda is None) == (torch.version.cuda is None)


def on_machine(monkeypatch, facts, build):
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: facts)
    monkeypatch.setattr(device_facts, "torch_build", lambda: build)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (None, r"got no torch; expected it\. Run: pip install 'rtseg\[cuda\]'"),
        (TorchBuild("2.13.0+cpu", None), r"which has no CUDA; expected one for NVIDIA Fake\. Run: pip install"),
        (TorchBuild("2.13.0", (13, 0)), r"got driver 580\.95\.05 \(CUDA 12\.8\); expected 580\.65 or newer, as torch"),
    ],
)
def test_a_torch_that_cannot_use_the_gpu_is_refused_with_the_remedy(monkeypatch, build, message):
    on_machine(monkeypatch, facts_of(DEVICE, Driver()), build)
    with pytest.raises(BackendUnavailable, match=message):
        device_facts.require_cuda_torch("torch")


def test_a_driver_of_the_same_major_version_is_new_enough(monkeypatch):
    on_machine(monkeypatch, facts_of(DEVICE, Driver()), TorchBuild("2.9.0", (12, 9)))
    assert device_facts.require_cuda_torch("torch").cuda == (12, 9)


@pytest.mark.needs_cuda
def test_a_real_gpu_is_the_one_that_torch_sees():
    import torch

    facts, seen = device_facts.gpu_facts(), torch.cuda.get_device_properties(0)
    assert facts.device.name == seen.name
    assert facts.device.compute_capability == f"{seen.major}.{seen.minor}"
    assert abs(facts.memory_bytes - seen.total_memory) <= 0.02 * seen.total_memory


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**20, "5.0 MiB"), (3 * 2**40, "3072.0 GiB")],
)
def test_bytes_for_people(count, text):
    assert bytes_text(count) == text
