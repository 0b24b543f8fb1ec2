"""The torch backend on tiny networks whose right answer numpy knows, on the CPU and on a device that is always late."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `cuda`")

from torch import nn  # noqa: E402

from rtseg.backends import device_facts  # noqa: E402
from rtseg.backends.base import EngineRequest  # noqa: E402
from rtseg.backends.device_errors import DeviceLost  # noqa: E402
from rtseg.backends.device_runtime import CpuRuntime  # noqa: E402
from rtseg.backends.openvino import OpenVINOBackend  # noqa: E402
from rtseg.backends.torch import TorchBackend  # noqa: E402
from rtseg.cuda_device import CudaDevice  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, InferenceError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.scenes.desk import DeskScene  # noqa: E402
from rtseg.scenes.street import StreetScene  # noqa: E402
from tests.backends.late import FREE_BYTES, LateRuntime  # noqa: E402

pytestmark = pytest.mark.needs_torch

GPU = device_facts.GpuFacts(CudaDevice("NVIDIA Fake", "8.9", "535.104"), (12, 2), 24 * 2**30)


class Channels(nn.Module):
    """Gives chosen channels of its input; a convolution, so that there are weights to lay out."""

    def __init__(self, *chosen: int) -> None:
        super().__init__()
        self.pick = nn.Conv2d(3, len(chosen), 1, bias=False)
        with torch.no_grad():
            self.pick.weight.copy_(torch.eye(3)[list(chosen)][:, :, None, None])

    def forward(self, image):
        return self.pick(image)


class Placed(TorchBackend):
    """The backend on a given device."""

    def __init__(self, runtime) -> None:
        super().__init__()
        self.runtime = runtime

    def _choose_runtime(self, request):
        return self.runtime


@pytest.fixture(params=["cpu", "late"])
def runtime(request):
    return CpuRuntime() if request.param == "cpu" else LateRuntime()


def asked(network, *chosen, **request):
    definition = Channels(*(chosen or (0, 1, 2, 1)))
    return EngineRequest(network, **{"precision": "fp32", "torch_network": lambda: definition, **request})


def loaded(runtime, network, *chosen, **request):
    backend = Placed(runtime)
    backend.load(asked(network, *chosen, **request))
    return backend


def logits_of(picture):
    planes = picture.astype(np.float32)
    return np.stack([planes[..., 0], planes[..., 1], planes[..., 2], planes[..., 1]])


def test_labels_are_the_first_of_the_largest_planes(runtime, spec, picture):
    with loaded(runtime, spec("logits_nchw")) as backend:
        labels = backend.infer(picture).labels
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, logits_of(picture).argmax(axis=0))
    assert not (labels == 3).any()  # 3 always ties with 1


def test_normalisation_is_in_the_networks_own_channel_order(runtime, spec, picture):
    facts = {"output_kind": "alpha", "class_count": 2, "channel_order": "BGR"}
    with loaded(runtime, spec("alpha_any_size", mean=(30.0, 0, 0), std=(200.0, 1, 1), **facts), 0) as backend:
        alpha = backend.infer(picture).alpha
    expected = np.clip((picture[..., 2].astype(np.float32) - 30) / 200, 0, 1) * 255
    assert {0, 255} & set(np.unique(alpha).tolist())
    np.testing.assert_allclose(alpha, expected, atol=0.51)


def test_alpha_is_rounded_to_the_nearest_byte(runtime, spec):
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 2).reshape(16, 32)
    ramp = np.stack([ramp] * 3, axis=2)
    with loaded(runtime, spec("alpha_any_size", output_kind="alpha", class_count=2, scale=1 / 255), 0) as backend:
        np.testing.assert_array_equal(backend.infer(ramp).alpha, ramp[..., 0])


@pytest.mark.parametrize("kind", ["logits", "probability"])
def test_scores_are_the_winners_probability(runtime, spec, picture, kind):
    network = spec("logits_nchw", scale=1 / 255, output_kind=kind)
    with loaded(runtime, network, with_scores=True) as backend:
        output = backend.infer(picture)
    planes = logits_of(picture) / 255
    shares = np.exp(planes) / np.exp(planes).sum(0) if kind == "logits" else planes
    np.testing.assert_allclose(output.scores, shares.max(axis=0), atol=1e-5)
    assert output.scores.dtype == np.float32


def levels(count: int) -> list[np.ndarray]:
    return [np.full((16, 32, 3), 10 * (n + 1), np.uint8) for n in range(count)]


@pytest.fixture
def matte(spec):
    return spec("alpha_any_size", output_kind="alpha", class_count=2, scale=1 / 255)


def test_results_are_the_callers_own_and_belong_to_their_picture(runtime, matte):
    with loaded(runtime, matte, 0) as backend:
        count = backend.info.in_flight
        pending, outputs = [], []
        for one in levels(12):
            if len(pending) == count:
                outputs.append(pending.pop(0).result().alpha)
            changed = one.copy()
            pending.append(backend.submit(changed))
            changed[:] = 255  # may be changed once submit returned
        outputs += [one.result().alpha for one in pending]
    for one, alpha in zip(levels(12), outputs, strict=True):
        assert (alpha == one[0, 0, 0]).all()


def test_a_late_device_would_show_a_slot_that_is_used_twice_or_read_too_early(matte):
    backend = loaded(LateRuntime(), matte, 0)
    first, second = levels(2)
    slot = backend._slots[0]
    slot.start(first)
    assert (slot._mask_view == 0).all()  # nothing has happened yet
    slot.start(second)  # too early: the first picture is overwritten before it was copied in
    assert (slot.finish().alpha == second[0, 0, 0]).all()


def test_results_may_be_collected_out_of_order(matte):
    with loaded(LateRuntime(), matte, 0) as backend:
        pending = [backend.submit(one) for one in levels(3)]
        for index in (2, 0, 1):
            assert (pending[index].result().alpha == 10 * (index + 1)).all()


def test_on_a_device_three_are_in_flight_and_each_has_one_graph(matte):
    runtime = LateRuntime()
    with loaded(runtime, matte, 0) as backend:
        assert backend.info.in_flight == 3
        assert backend.info.settings["cuda_graph"] == "on"
        assert runtime.recorded == 3
        made, launched = runtime.allocated, runtime.launches
        for one in levels(9):
            backend.infer(one)
        assert runtime.allocated == made  # nothing for a frame
        assert runtime.launches == launched + 9  # one graph each, and nothing else
        assert backend.infer(levels(1)[0]).infer_ns == 1_500_000


def test_too_many_in_flight_and_a_second_result_fail(runtime, matte):
    with loaded(runtime, matte, 0) as backend:
        pending = [backend.submit(one) for one in levels(backend.info.in_flight)]
        with pytest.raises(InferenceError, match="at most that many"):
            backend.submit(levels(1)[0])
        for one in pending:
            one.result()
        with pytest.raises(InferenceError, match="twice"):
            pending[0].result()
        backend.infer(levels(1)[0])


@pytest.mark.parametrize("kind", ["launch", "wait"])
def test_a_picture_that_fails_takes_no_other_along(matte, kind):
    runtime = LateRuntime()
    with loaded(runtime, matte, 0) as backend:
        runtime.fail_next(kind, RuntimeError("CUDA error: something odd\nFor debugging consider ..."), skip=1)
        found, failed = [], []
        pending = []
        for index, one in enumerate(levels(3)):
            try:
                pending.append((index, backend.submit(one)))
            except InferenceError as error:
                failed.append((index, str(error)))
        for index, one in pending:
            try:
                found.append((index, int(one.result().alpha[0, 0])))
            except InferenceError as error:
                failed.append((index, str(error)))
        assert found == [(0, 10), (2, 30)]
        assert [index for index, _ in failed] == [1]
        assert "something odd" in failed[0][1]
        assert "debugging" not in failed[0][1]
        assert [int(backend.infer(one).alpha[0, 0]) for one in levels(4)] == [10, 20, 30, 40]  # every slot works on


def test_after_a_lost_device_every_picture_fails_at_once_and_closing_works(matte):
    runtime = LateRuntime()
    backend = loaded(runtime, matte, 0)
    pending = [backend.submit(one) for one in levels(2)]
    runtime.fail_next("wait", RuntimeError("CUDA error: an illegal memory access was encountered"), skip=1)
    assert (pending[0].result().alpha == 10).all()  # what had come out is not lost
    with pytest.raises(DeviceLost, match=r"got a lost device .* expected the GPU to answer"):
        pending[1].result()
    launched = runtime.launches
    with pytest.raises(DeviceLost, match="illegal memory access"):
        backend.submit(levels(1)[0])
    assert runtime.launches == launched
    backend.close()


def test_too_little_memory_for_the_slots_names_what_they_need_and_what_is_free(matte):
    plenty = LateRuntime()
    before = plenty.free_bytes
    loaded(plenty, matte, 0)
    taken = before - plenty.free_bytes
    scarce = LateRuntime(free_bytes=taken * 2 // 3)
    with pytest.raises(
        EngineError, match=r"got 34\.0 KiB of 64\.0 MiB free on the GPU; expected at least 54\.0 KiB to run"
    ) as failure:
        loaded(scarce, matte, 0)
    assert "3 frames in flight" in str(failure.value)
    roomy = LateRuntime(free_bytes=taken)
    loaded(roomy, matte, 0).close()  # with exactly that much it works


def test_too_little_memory_for_the_first_slot_names_what_was_asked_for(matte):
    class Greedy(Channels):
        def forward(self, image):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.50 GiB. GPU 0 has ...")

    request = EngineRequest(matte, "fp32", torch_network=lambda: Greedy(0))
    with pytest.raises(EngineError, match=r"got 64\.0 MiB of 64\.0 MiB free on the GPU; expected at least 3\.5 GiB"):
        Placed(LateRuntime(FREE_BYTES)).load(request)


def test_a_load_that_failed_can_be_tried_again(matte):
    runtime = LateRuntime(free_bytes=3000)
    backend = Placed(runtime)
    with pytest.raises(EngineError, match="expected at least"):
        backend.load(asked(matte, 0))
    runtime.free_bytes = FREE_BYTES
    backend.load(asked(matte, 0))
    assert (backend.infer(levels(1)[0]).alpha == 10).all()


def test_slots_that_were_given_back_are_made_again_when_needed(matte):
    runtime = LateRuntime()
    with loaded(runtime, matte, 0) as backend:
        backend.release_slots()
        context = backend.device_engine.new_context()
        context.input[:] = 0.5
        context.enqueue(runtime.new_stream())
        runtime.synchronize()
        assert context.outputs["mask"].shape == (1, 16, 32)
        assert (context.outputs["mask"] == 0.5).all()
        assert (backend.infer(levels(1)[0]).alpha == 10).all()


def test_a_batch_is_one_call_of_the_engine(spec):
    runtime = LateRuntime()
    with loaded(runtime, spec("logits_nchw"), batch=2) as backend:
        context = backend.device_engine.new_context()
        assert backend.device_engine.batch == 2
        context.input[1, 2] = 1.0
        context.enqueue(runtime.new_stream())
        runtime.synchronize()
        assert context.outputs["mask"].argmax(1).unique(dim=0).shape[0] == 2


def test_a_network_that_nobody_knows_is_refused_with_a_way_out(spec):
    with pytest.raises(EngineError, match=r"only the ONNX file is known; .* Use --backend openvino or tensorrt"):
        Placed(CpuRuntime()).load(EngineRequest(spec("logits_nchw")))


def test_a_network_of_another_shape_than_its_facts_is_refused(spec):
    with pytest.raises(EngineError, match=r"got an output \[1, 3, 16, 32\]; expected \[1, 4, 16, 32\]"):
        loaded(CpuRuntime(), spec("logits_nchw"), 0, 1, 2)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_the_cpu_does_not_serve_is_refused(spec, precision):
    with pytest.raises(ConfigError, match=f"got {precision}; expected one of fp32, bf16 with torch on the CPU"):
        loaded(CpuRuntime(), spec("logits_nchw"), precision=precision)


def test_use_after_close_fails(matte):
    backend = loaded(CpuRuntime(), matte, 0)
    engine = backend.device_engine
    backend.close()
    with pytest.raises(InferenceError, match="after close"):
        _ = backend.device_engine
    with pytest.raises(EngineError, match="after close"):
        engine.forward(torch.zeros(1, 3, 16, 32))


def on_machine(monkeypatch, facts, build):
    for module in ("rtseg.backends.device_facts", "rtseg.backends.torch"):
        monkeypatch.setattr(f"{module}.gpu_facts", lambda: facts)
        monkeypatch.setattr(f"{module}.torch_build", lambda: build)


def test_without_torch_the_command_that_mends_it_is_named(monkeypatch, spec):
    on_machine(monkeypatch, None, None)
    with pytest.raises(BackendUnavailable, match=r"got no torch; expected it\. Run: pip install 'rtseg\[cuda\]'"):
        TorchBackend().load(asked(spec("logits_nchw")))


def test_a_driver_too_old_is_told_with_both_versions(monkeypatch, spec):
    on_machine(monkeypatch, GPU, device_facts.TorchBuild("2.13.0", (13, 0)))
    with pytest.raises(BackendUnavailable, match=r"got driver 535\.104 \(CUDA 12\.2\); expected 580\.65 or newer"):
        TorchBackend().load(asked(spec("logits_nchw")))


def test_a_torch_without_cuda_beside_a_gpu_runs_on_the_cpu_by_name_and_never_by_auto(monkeypatch, spec, picture):
    on_machine(monkeypatch, GPU, device_facts.TorchBuild("2.13.0+cpu", None))
    with TorchBackend() as backend:
        info = backend.load(asked(spec("logits_nchw")))
        np.testing.assert_array_equal(backend.infer(picture).labels, logits_of(picture).argmax(axis=0))
    assert "made without CUDA" in info.reasons[0]
    with pytest.raises(BackendUnavailable, match=r"which has no CUDA; expected one for NVIDIA Fake\. Run: pip install"):
        TorchBackend.probe_for_auto()


SCENES = {"street": StreetScene, "person": DeskScene}


def real_pictures(name: str, size_wh: tuple[int, int]):
    scene = SCENES[name](size_wh=size_wh, seed=5)
    return [scene.render(seconds) for seconds in (0.0, 2.0)]


@pytest.mark.parametrize("name", ["street", "person"])
def test_shipped_bundles_say_the_same_as_their_onnx_files(name):
    torch.set_num_threads(1)
    bundle = load_bundle(name)
    network = bundle.network_for("fp32")
    with TorchBackend() as ours, OpenVINOBackend() as reference:
        reference.load(EngineRequest(network, "fp32", "latency", threads=1))
        ours.load(EngineRequest(network, "fp32", "latency", torch_network=bundle.torch_network))
        for picture in real_pictures(name, network.size_wh):
            found, expected = ours.infer(picture), reference.infer(picture)
            if bundle.task == "matte":
                assert 0.02 < expected.alpha.mean() / 255 < 0.98
                assert np.abs(found.alpha.astype(int) - expected.alpha).max() <= 1
            else:
                assert len(np.unique(expected.labels)) >= 4
                assert (found.labels == expected.labels).mean() >= 0.9999


@pytest.mark.needs_cuda
@pytest.mark.parametrize("name", ["street", "person"])
def test_on_a_gpu_the_graph_in_half_precision_follows_its_inputs(name):
    bundle = load_bundle(name)
    network = bundle.network_for("fp32")
    pictures = [np.roll(one, 9 * turn, axis=1) for turn in range(6) for one in real_pictures(name, network.size_wh)]
    with TorchBackend() as ours, OpenVINOBackend() as reference:
        reference.load(EngineRequest(network, "fp32", "latency"))
        info = ours.load(EngineRequest(network, "auto", torch_network=bundle.torch_network))
        assert (info.precision, info.in_flight, info.settings["cuda_graph"]) == ("fp16", 3, "on")
        pending = [ours.submit(one) for one in pictures[:3]]
        taken = []
        for index, picture in enumerate(pictures):
            found, expected = pending.pop(0).result(), reference.infer(picture)
            if index + 3 < len(pictures):
                pending.append(ours.submit(pictures[index + 3]))
            taken.append(torch.cuda.memory_allocated())
            if bundle.task == "matte":
                assert np.abs(found.alpha.astype(int) - expected.alpha).mean() < 255 * 0.005
            else:
                assert (found.labels == expected.labels).mean() >= 0.995
    assert len(set(taken)) == 1  # nothing is allocated for a frame


@pytest.mark.needs_cuda
def test_on_a_gpu_an_engine_too_large_names_the_bytes():
    bundle = load_bundle("street")
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(max(0, free - 64 * 2**20), dtype=torch.uint8, device="cuda")
    try:
        with pytest.raises(EngineError, match=r"free on the GPU; expected at least"):
            TorchBackend().load(EngineRequest(bundle.network, torch_network=bundle.torch_network, batch=64))
    finally:
        del held
        torch.cuda.empty_cache()


def test_weights_are_laid_out_channels_last(spec):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1))
    with Placed(CpuRuntime()) as backend:
        backend.load(EngineRequest(spec("logits_nchw"), "fp32", torch_network=lambda: module))
        assert module[1].weight.is_contiguous(memory_format=torch.channels_last)
        assert not module[1].weight.is_contiguous()
