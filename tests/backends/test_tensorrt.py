"""The TensorRT backend on a fake of its API: engines of a real cache, run on memory of a device that is always late."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `cuda`")

from rtseg.backends import device_facts  # noqa: E402
from rtseg.backends import tensorrt as tensorrt_backend  # noqa: E402
from rtseg.backends.base import EngineRequest  # noqa: E402
from rtseg.backends.tensorrt import EngineMissing, EngineUnproved, TensorRTBackend  # noqa: E402
from rtseg.cuda_device import NO_DEVICE, CudaDevice  # noqa: E402
from rtseg.engine_files.cache import EngineCache  # noqa: E402
from rtseg.engine_files.key import engine_key  # noqa: E402
from rtseg.engine_files.manifest import EngineManifest, Proof, TensorFacts  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, InferenceError  # noqa: E402
from rtseg.tensorrt_flavour import Flavour  # noqa: E402
from tests.backends.fake_tensorrt import FakeTensorRT  # noqa: E402
from tests.backends.late import LateRuntime  # noqa: E402

pytestmark = pytest.mark.needs_torch

DEVICE = CudaDevice("NVIDIA Fake", "8.9", "580.95.05")
OTHER_DEVICE = CudaDevice("NVIDIA Other", "8.6", "580.95.05")
SHAPE = (1, 3, 16, 32)


class Machine:
    """A GPU with one flavour of TensorRT and an empty cache."""

    def __init__(self, folder, flavour: str = "tensorrt_rtx") -> None:
        self.runtime = LateRuntime()
        self.trt = FakeTensorRT(flavour, self.runtime)
        self.flavour = Flavour(flavour, "1.7", self.trt, f"{flavour}, the first.")
        self.cache = EngineCache(folder / "engines")

    def backend(self, supply=None, *, accept_unproved: bool = False) -> TensorRTBackend:
        machine = self

        class Placed(TensorRTBackend):
            def _choose_runtime(self, request):
                return machine.runtime

            def _machine(self):
                return machine.flavour, DEVICE

        return Placed(supply, cache=self.cache, accept_unproved=accept_unproved)

    def loaded(self, network, **request):
        backend = self.backend()
        backend.load(EngineRequest(network, **request))
        return backend

    def build(self, network, form="planes", *, device=DEVICE, proved=True, precision="fp16", plan=None, **facts):
        """Store an engine as the builder would; returns it."""
        key = engine_key(network, self.flavour, device, precision=precision, form=form)
        tensors = TENSORS["matte " + form if network.is_matte else form]
        proof = Proof(DEVICE, True, "accepted: got 99.90 % of the labels as in fp32", {}, "2026-01-01")
        manifest = EngineManifest(
            key=key,
            inputs=tensors[:1],
            outputs=tensors[1:],
            built_at="2026-01-01",
            build_seconds=1.0,
            layers={},
            proofs=(proof,) if proved else (),
        )
        with self.cache.exclusive(key):
            return self.cache.store(manifest, plan or plan_of(tensors, network, form, **facts))


PLANES = TensorFacts("image", "planes", "float16", SHAPE, "NCHW")
PICTURE = TensorFacts("picture", "picture", "uint8", (1, 16, 32, 3), "NHWC")
LABELS = TensorFacts("classes", "labels", "uint8", (1, 16, 32), "NHW")
TENSORS = {
    "planes": (PLANES, TensorFacts("logits", "logits", "float16", (1, 4, 16, 32), "NCHW")),
    "masks": (PLANES, LABELS),
    "bytes": (PICTURE, LABELS),
    "matte planes": (PLANES, TensorFacts("alpha", "alpha", "float16", (1, 2, 16, 32), "NCHW")),
    "matte bytes": (PICTURE, TensorFacts("matte", "alpha", "uint8", (1, 16, 32), "NHW")),
}


def plan_of(tensors, network, form, **facts) -> bytes:
    computed = f"matte {form}".removesuffix(" planes") if network.is_matte else form
    listed = [{"name": one.name, "dtype": one.dtype, "shape": one.shape} for one in tensors]
    return json.dumps({"form": computed, "tensors": listed, **facts}).encode()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def network(spec):
    return spec("logits_nchw", scale=1 / 255)


@pytest.fixture
def matte(spec):
    return spec("probability_2", output_kind="probability", class_count=2, scale=1 / 255)


def labels_of(picture):
    return picture.astype(int)[..., [0, 1, 2, 1]].argmax(2)


@pytest.mark.parametrize("form", ["planes", "masks", "bytes"])
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt_rtx"])
def test_an_engine_of_any_form_and_flavour_gives_the_networks_labels(tmp_path, network, picture, form, flavour):
    machine = Machine(tmp_path, flavour)
    machine.build(network, form)
    with machine.loaded(network) as backend:
        assert backend.device_engine.form == form
        np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))


@pytest.mark.parametrize(("form", "channel"), [("planes", 1), ("bytes", 0)])
def test_a_matte_is_the_last_plane_or_comes_in_bytes(machine, matte, picture, form, channel):
    machine.build(matte, form)
    with machine.loaded(matte) as backend:
        alpha = backend.infer(picture).alpha
    np.testing.assert_allclose(alpha, picture[..., channel], atol=1)


def test_scores_come_from_the_planes_alone(machine, network, picture):
    machine.build(network, "bytes")
    with pytest.raises(EngineMissing, match="form planes, not bytes"):
        machine.loaded(network, with_scores=True)
    machine.build(network, "planes")
    with machine.loaded(network, with_scores=True) as backend:
        scores = backend.infer(picture).scores
    powers = np.exp(picture[..., [0, 1, 2, 1]] / 255.0)
    np.testing.assert_allclose(scores, powers.max(2) / powers.sum(2), atol=1e-3)


def test_pictures_in_flight_keep_their_own_memory(machine, network):
    machine.build(network)
    pictures = [np.full((16, 32, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    with machine.loaded(network) as backend:
        assert backend.info.in_flight == 3
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            pending = [backend.submit(one) for one in pictures]
            for index in order:
                assert (pending[index].result().labels == labels_of(pictures[index])).all()


def test_what_was_chosen_is_told(machine, network):
    machine.build(network)
    with machine.loaded(network) as backend:
        info = backend.info
    assert (info.name, info.version, info.device, info.precision) == (
        "tensorrt",
        "tensorrt_rtx 1.7",
        "NVIDIA Fake",
        "fp16",
    )
    assert info.settings["cuda_graph"] == "on"
    assert info.settings["form"] == "planes"
    assert "99.90 %" in " ".join(info.reasons)


def test_a_missing_engine_names_reason_and_command(machine, network):
    with pytest.raises(EngineMissing, match=r"no engine of .* in the cache yet") as failure:
        machine.loaded(network, model="street", precision="fp16")
    assert failure.value.command == "rtseg build street --backend tensorrt --precision fp16"
    assert str(failure.value).endswith(f"Run: {failure.value.command}.")


def test_an_engine_for_other_circumstances_is_missed_with_the_difference(machine, network):
    machine.build(network, device=OTHER_DEVICE)
    with pytest.raises(EngineMissing, match="GPU NVIDIA Fake, not NVIDIA Other"):
        machine.loaded(network)


def test_an_engine_built_ahead_serves(machine, network, picture):
    machine.build(network, device=NO_DEVICE)
    with machine.loaded(network) as backend:
        np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))


class Supply:
    """Builds and proves; the verdict is what it is told to be."""

    def __init__(self, machine, *, accepted: bool = True) -> None:
        self.machine, self.accepted, self.asked = machine, accepted, []

    def build(self, request, key, reason):
        self.asked.append(("build", key.form, reason))
        return self.machine.build(request.network, key.form, proved=False)

    def prove(self, request, engine):
        self.asked.append(("prove", engine.manifest.key.form))
        verdict = "accepted: got 99.9 %" if self.accepted else "refused: got 60 %"
        return engine.add_proof(Proof(DEVICE, self.accepted, verdict, {}, "2026-01-02"))


def test_a_supply_builds_and_proves_what_is_missing_once(machine, network, picture):
    supply = Supply(machine)
    for _ in range(2):
        with machine.backend(supply) as backend:
            backend.load(EngineRequest(network))
            np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))
    assert [step[:2] for step in supply.asked] == [("build", "planes"), ("prove", "planes")]


def test_an_unproved_engine_shows_no_frame_unless_the_gate_asks_for_it(machine, network, picture):
    machine.build(network, proved=False)
    with pytest.raises(EngineUnproved, match=r"never held against its ONNX file on NVIDIA Fake; .*Run: rtseg build"):
        machine.loaded(network)
    with machine.backend(accept_unproved=True) as backend:
        backend.load(EngineRequest(network))
        np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))


def test_an_engine_that_the_gate_refused_is_refused_with_its_verdict(machine, network):
    machine.build(network, proved=False)
    with pytest.raises(EngineError, match=r"differs from its ONNX file \(refused: got 60 %\)"):
        machine.backend(Supply(machine, accepted=False)).load(EngineRequest(network))
    with pytest.raises(EngineError, match="refused: got 60 %"):
        machine.loaded(network)


def test_compiled_kernels_are_kept_beside_the_engine(machine, network):
    engine = machine.build(network)
    machine.loaded(network).close()
    assert (machine.trt.compiled, engine.read_runtime_cache()) == (1, b"kernels")
    machine.loaded(network).close()
    assert machine.trt.compiled == 1


def test_without_kept_kernels_they_would_be_compiled_again(machine, network):
    engine = machine.build(network)
    machine.loaded(network).close()
    (engine.folder / "runtime.cache").unlink()
    machine.loaded(network).close()
    assert machine.trt.compiled == 2


def test_a_flavour_that_compiles_nothing_keeps_nothing(tmp_path, network):
    machine = Machine(tmp_path, "tensorrt")
    engine = machine.build(network)
    machine.loaded(network).close()
    assert not (engine.folder / "runtime.cache").exists()


def test_where_a_context_cannot_be_recorded_the_work_is_queued_step_by_step(machine, network, picture):
    machine.build(network)
    machine.trt.capturable = False
    with machine.loaded(network) as backend:
        assert backend.info.settings["cuda_graph"] == "off"
        np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))


def test_a_plan_that_the_runtime_does_not_take_is_told_in_its_words(machine, network):
    machine.build(network, plan=b"no plan")
    with pytest.raises(EngineError, match=r"magic tag does not match.*Run: rtseg build"):
        machine.loaded(network)


@pytest.mark.parametrize(
    ("diagnostics", "error", "message"),
    [
        (4, BackendUnavailable, r"got OLD CUDA DRIVER; expected a driver that tensorrt_rtx 1\.7 runs on"),
        (2, EngineError, "UNSUPPORTED CC"),
        (16, EngineError, r"got 64\.0 MiB of 64\.0 MiB free on the GPU; expected at least \d+ B to open it"),
    ],
)
def test_a_plan_that_does_not_suit_this_machine_is_refused_with_the_reason(
    machine, network, diagnostics, error, message
):
    machine.build(network)
    machine.trt.diagnostics = diagnostics
    with pytest.raises(error, match=message):
        machine.loaded(network)


def test_a_driver_that_tensorrt_cannot_start_on_is_told_as_that(machine, network):
    machine.build(network)
    machine.trt.no_runtime = "CUDA initialization failure with error: 35. Please check your CUDA installation"
    with pytest.raises(BackendUnavailable, match=r"error: 35.*expected a driver that tensorrt_rtx 1\.7 runs on"):
        machine.loaded(network)


def test_an_engine_with_other_tensors_than_its_manifest_says_is_refused(machine, network):
    tensors = (PLANES, TensorFacts("logits", "logits", "float16", (1, 5, 16, 32), "NCHW"))
    machine.build(network, plan=plan_of(tensors, network, "planes"))
    with pytest.raises(EngineError, match=r"\(1, 5, 16, 32\).*expected .*\(1, 4, 16, 32\)"):
        machine.loaded(network)


def test_a_truncated_engine_is_as_good_as_none(machine, network):
    engine = machine.build(network)
    plan = engine.folder / "engine.plan"
    plan.write_bytes(plan.read_bytes()[:-9])
    with pytest.raises(EngineMissing, match="is not the one that was built"):
        machine.loaded(network)


def test_too_little_memory_is_told_before_any_context_is_made(machine, network):
    machine.build(network, scratch=40 * 2**20)
    with pytest.raises(EngineError, match=r"got 64\.0 MiB of 64\.0 MiB free on the GPU; expected at least 120\.0 MiB"):
        machine.loaded(network)


def test_a_context_that_tensorrt_cannot_allocate_is_told_with_both_numbers(machine, network):
    machine.build(network, scratch=5 * 2**20)
    machine.trt.no_context = "[executionContext.cpp] Error Code 2: OutOfMemory (Requested size was 5242880 bytes.)"
    with pytest.raises(EngineError, match=r"got 64\.0 MiB of 64\.0 MiB free on the GPU; expected at least 5\.0 MiB"):
        machine.loaded(network)


def test_an_inference_that_is_refused_is_told_in_tensorrts_words_and_the_next_one_runs(machine, network, picture):
    machine.build(network)
    machine.trt.capturable = False  # in a graph TensorRT is not asked again
    with machine.loaded(network) as backend:
        machine.trt.refuse_to_run = True
        with pytest.raises(InferenceError, match="execution refused"):
            backend.infer(picture)
        machine.trt.refuse_to_run = False
        np.testing.assert_array_equal(backend.infer(picture).labels, labels_of(picture))


def test_a_precision_that_no_engine_has_is_refused(machine, network):
    with pytest.raises(ConfigError, match="got bf16; expected one of fp16, int8, fp32 with tensorrt"):
        machine.loaded(network, precision="bf16")


FACTS = device_facts.GpuFacts(DEVICE, (13, 0), 24 * 2**30)


def on_machine(monkeypatch, facts, flavour=None):
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: facts)
    monkeypatch.setattr(device_facts, "torch_build", lambda: device_facts.TorchBuild("2.13.0", (facts.cuda[0], 0)))
    monkeypatch.setattr(tensorrt_backend, "load_flavour", lambda: flavour)
    monkeypatch.setattr(tensorrt_backend, "package_version", {"tensorrt-rtx-cu13": "1.7"}.get)


def test_the_probe_names_flavour_and_gpu(monkeypatch, machine):
    on_machine(monkeypatch, FACTS, machine.flavour)
    assert TensorRTBackend.probe() == "tensorrt_rtx 1.7 on NVIDIA Fake, 24.0 GiB, driver 580.95.05"


def test_a_gpu_that_the_flavour_has_no_kernels_for_is_refused_with_those_it_has(monkeypatch, machine):
    device = CudaDevice("NVIDIA H200", "9.0", "580.95.05")
    on_machine(monkeypatch, device_facts.GpuFacts(device, (13, 0), 141 * 2**30), machine.flavour)
    with pytest.raises(
        BackendUnavailable, match=r"H200 \(compute capability 9\.0\); .*\(8\.6, 8\.9\).*rtseg\[tensorrt\]"
    ):
        TensorRTBackend.probe()


def test_a_driver_too_old_for_the_flavour_is_told_with_both_versions(monkeypatch, machine):
    device = CudaDevice("NVIDIA Fake", "8.9", "550.54")
    on_machine(monkeypatch, device_facts.GpuFacts(device, (12, 4), 2**30), machine.flavour)
    with pytest.raises(
        BackendUnavailable, match=r"got driver 550\.54 \(CUDA 12\.4\); expected 580\.65 or newer, as tens"
    ):
        TensorRTBackend.probe()


def test_without_a_gpu_tensorrt_is_not_even_looked_for(monkeypatch):
    on_machine(monkeypatch, FACTS)
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: None)
    monkeypatch.setattr(tensorrt_backend, "load_flavour", lambda: pytest.fail("was looked for"))
    with pytest.raises(BackendUnavailable, match="got no NVIDIA GPU with a driver"):
        TensorRTBackend.probe()


def test_the_flavour_for_data_centres_does_not_name_gpus():
    flavour = Flavour("tensorrt", "10.9", SimpleNamespace(), "")
    tensorrt_backend._check_gpu(flavour, CudaDevice("NVIDIA H200", "9.0", "580"))


def test_auto_lets_the_supply_prove_but_not_build(machine, network, monkeypatch):
    supply = Supply(machine)

    def made(may_build):
        backend = machine.backend(supply)
        made_with = TensorRTBackend.made_with(supply, may_build=may_build)
        monkeypatch.setattr(backend, "_may_build", made_with._may_build)
        return backend

    with pytest.raises(EngineMissing, match="Run: rtseg build"):
        made(may_build=False).load(EngineRequest(network))
    assert supply.asked == []
    machine.build(network, proved=False)
    made(may_build=False).load(EngineRequest(network))
    assert supply.asked == [("prove", "planes")]


@pytest.mark.needs_cuda
@pytest.mark.needs_tensorrt
@pytest.mark.parametrize("name", ["street", "person"])
def test_on_a_gpu_a_real_engine_is_built_proved_and_agrees(name, tmp_path):
    pytest.importorskip("onnx", reason="building needs the extra `train`")
    from rtseg.backends.openvino import OpenVINOBackend
    from rtseg.builder.engine_supply import CacheSupply
    from rtseg.models.bundle import load_bundle

    try:
        TensorRTBackend.probe()
    except BackendUnavailable as error:
        pytest.skip(str(error))
    cache, network = EngineCache(tmp_path / "engines"), load_bundle(name).network
    width, height = network.size_wh
    rng = np.random.default_rng(1)
    pictures = [
        rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(9)
    ]
    with TensorRTBackend(CacheSupply(cache), cache=cache) as ours, OpenVINOBackend() as reference:
        info = ours.load(EngineRequest(network, "fp16"))
        reference.load(EngineRequest(network, "fp32", "latency"))
        assert (info.in_flight, info.settings["cuda_graph"]) == (3, "on")
        for start in (0, 3, 6):
            pending = [ours.submit(one) for one in pictures[start : start + 3]]
            for one, picture in zip(pending, pictures[start : start + 3], strict=True):
                found, expected = one.result(), reference.infer(picture)
                if network.is_matte:
                    assert np.abs(found.alpha.astype(int) - expected.alpha).mean() < 255 * 0.01
                else:
                    assert (found.labels == expected.labels).mean() >= 0.98  # noise is harder than any street
    assert cache.entries()[0].manifest.state_on(tensorrt_backend.current_device()) == "proved"
