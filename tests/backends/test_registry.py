"""Choosing a backend: nothing silent, and a remedy for what does not work."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from rtseg.backends import device_facts, registry
from rtseg.backends.base import EngineRequest
from rtseg.backends.fake import FakeBackend
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.backends.tensorrt import TensorRTBackend
from rtseg.backends.torch import TorchBackend
from rtseg.cuda_device import CudaDevice
from rtseg.errors import BackendUnavailable, ConfigError, EngineError
from rtseg.tensorrt_flavour import Flavour

GPU = device_facts.GpuFacts(CudaDevice("NVIDIA Fake", "8.9", "580.95.05"), (13, 0), 24 * 2**30)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: None)


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, a torch with CUDA, and no TensorRT."""
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: GPU)
    monkeypatch.setattr("rtseg.backends.torch.gpu_facts", lambda: GPU)
    for module in ("rtseg.backends.device_facts", "rtseg.backends.torch"):
        monkeypatch.setattr(f"{module}.torch_build", lambda: device_facts.TorchBuild("2.13.0", (13, 0)))

    def absent():
        raise BackendUnavailable("tensorrt: got no module; expected one. Run: pip install 'rtseg[tensorrt-rtx]'.")

    monkeypatch.setattr("rtseg.backends.tensorrt.load_flavour", absent)


def test_auto_takes_openvino_without_a_gpu_and_says_why_nothing_faster(no_gpu):
    backend, reasons = registry.create_backend()
    assert isinstance(backend, OpenVINOBackend)
    assert [reason.partition(";")[0] for reason in reasons[:2]] == [
        "backend tensorrt: got no NVIDIA GPU with a driver",
        "backend torch: got no NVIDIA GPU with a driver",
    ]
    assert reasons[2] == "openvino, the first of tensorrt, torch, openvino that works here."


def test_auto_takes_torch_on_a_gpu_without_tensorrt(gpu):
    backend, reasons = registry.create_backend()
    assert isinstance(backend, TorchBackend)
    assert "pip install 'rtseg[tensorrt-rtx]'" in reasons[0]
    assert reasons[1] == "torch, the first of tensorrt, torch, openvino that works here."


def test_auto_takes_tensorrt_where_it_is_installed(gpu, monkeypatch):
    flavour = Flavour("tensorrt", "10.9", SimpleNamespace(), "tensorrt, the first of tensorrt, tensorrt_rtx.")
    monkeypatch.setattr("rtseg.backends.tensorrt.load_flavour", lambda: flavour)
    backend, reasons = registry.create_backend()
    assert isinstance(backend, TensorRTBackend)
    assert reasons == ("tensorrt, the first of tensorrt, torch, openvino that works here.",)


def test_auto_without_anything_gives_every_remedy(no_gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match="pip install") as failure:
        registry.create_backend()
    assert all(f"backend {name}" in str(failure.value) for name in registry.AUTO_ORDER)


class Refusing(FakeBackend):
    """Works here, but not with any model."""

    def _load(self, request):
        raise EngineError("no engine of it. Run: rtseg build it.")


def of_order(monkeypatch, **classes):
    monkeypatch.setattr(registry, "AUTO_ORDER", tuple(classes))
    monkeypatch.setattr(registry, "_backend_class", classes.__getitem__)


def test_auto_gives_way_where_a_backend_cannot_have_this_model_and_keeps_the_reason(monkeypatch, spec):
    of_order(monkeypatch, first=Refusing, second=FakeBackend)
    backend, reasons = registry.load_backend("auto", lambda kind: EngineRequest(spec("logits_nchw")))
    assert type(backend) is FakeBackend
    assert backend.info.name == "fake"
    assert reasons[0] == "no engine of it. Run: rtseg build it."


def test_a_backend_asked_for_by_name_does_not_give_way(monkeypatch, spec):
    of_order(monkeypatch, first=Refusing, second=FakeBackend)
    with pytest.raises(EngineError, match="no engine"):
        registry.load_backend("first", lambda kind: EngineRequest(spec("logits_nchw")))


def test_the_last_ones_failure_is_the_one_that_is_told(monkeypatch, spec):
    of_order(monkeypatch, first=FakeBackend, second=Refusing)
    monkeypatch.setattr(FakeBackend, "probe_for_auto", classmethod(lambda kind: refuse()))
    with pytest.raises(BackendUnavailable, match="not today"):
        registry.load_backend("auto", lambda kind: EngineRequest(spec("logits_nchw")))
    monkeypatch.setattr(Refusing, "probe_for_auto", classmethod(lambda kind: "works"))
    with pytest.raises(EngineError, match="no engine of it"):
        registry.load_backend("auto", lambda kind: EngineRequest(spec("logits_nchw")))


def refuse():
    raise BackendUnavailable("not today")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"got 'onnxruntime'; expected one of auto, tensorrt, torch, openvino, fake"):
        registry.create_backend("onnxruntime")


def test_the_report_has_every_backend_and_the_mending_command(no_gpu, monkeypatch):
    report = {status.name: status for status in registry.backend_report()}
    assert report["openvino"].works
    assert "OpenVINO" in report["openvino"].detail
    assert not report["tensorrt"].works
    assert "fake" not in report
    monkeypatch.setitem(sys.modules, "openvino", None)
    broken = {status.name: status for status in registry.backend_report()}["openvino"]
    assert not broken.works
    assert broken.remedy == "pip install 'openvino>=2026.0'"


def plug_in(monkeypatch, value):
    points = [EntryPoint("extra", value, registry.PLUGIN_GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.PLUGIN_GROUP else [])


def test_a_plug_in_is_found_by_name_only(monkeypatch):
    plug_in(monkeypatch, "rtseg.backends.fake:FakeBackend")
    assert isinstance(registry.create_backend("extra")[0], FakeBackend)
    assert not isinstance(registry.create_backend("auto")[0], FakeBackend)


@pytest.mark.parametrize("value", ["absent_package:Backend", "rtseg.backends.fake:Absent", "rtseg.backends.fake:time"])
def test_a_broken_plug_in_says_why(monkeypatch, value):
    plug_in(monkeypatch, value)
    with pytest.raises(BackendUnavailable, match="backend extra"):
        registry.create_backend("extra")
    assert not {status.name: status for status in registry.backend_report()}["extra"].works


def test_choosing_and_reporting_import_neither_torch_nor_tensorrt():
    code = (
        "import sys; from rtseg.backends import registry; registry.create_backend(); registry.backend_report();"
        "print(sorted({'torch', 'tensorrt', 'tensorrt_rtx', 'triton'} & set(sys.modules)))"
    )
    environment = {"CUDA_VISIBLE_DEVICES": "", "PATH": ""}  # with a GPU the flavour is asked which GPUs it knows
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
