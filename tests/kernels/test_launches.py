"""What a call does besides launching: nothing is allocated, copied or waited for, whatever the tensors hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from rtseg.cuda.stream_memory import MemoryBuffers, Postprocess, StreamMemory  # noqa: E402
from rtseg.kernels import device as device_room  # noqa: E402
from rtseg.kernels.device import blur, composite, cutout, edges, masks, preprocess, resample, steady  # noqa: E402
from rtseg.kernels.picture import DevicePicture, PictureFormat  # noqa: E402
from rtseg.kernels.preprocess import Preprocessor  # noqa: E402
from rtseg.render.compositor_cuda import CudaCompositor  # noqa: E402
from rtseg.render.effects import parse_effects  # noqa: E402
from rtseg.render.palette import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE  # noqa: E402

FRAME = PictureFormat((48, 32), "nv12")
MASK_WH = (20, 14)
VIEWS = {"select", "slice", "view", "_unsafe_view", "unsqueeze", "alias", "as_strided", "detach"}
KERNELS = {
    blur: ("across", "down", "cell_weights", "power_weights"),
    composite: ("composite",),
    cutout: ("rgb_of_planes", "cut_out"),
    edges: ("marks", "lines", "coefficients", "drawn"),
    masks: ("labels", "alpha_bytes", "class_maps", "spread_colors", "class_counts"),
    preprocess: ("network_input",),
    resample: ("halved", "resized"),
    steady: ("picture_difference", "light_and_noise", "moved_sums", "matte", "labels"),
}


class Operations(TorchDispatchMode):
    """Notes every operation of torch."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function._schema.name.removeprefix("aten::"))
        return function(*args, **(kwargs or {}))


class Recorder:
    """Stands for a kernel and notes its launches."""

    def __init__(self, name, launches):
        self.name, self.launches = name, launches

    def __getitem__(self, grid):
        return lambda *args, **options: self.launches.append((self.name, grid))


@pytest.fixture
def launches(monkeypatch):
    noted = []
    for module, names in KERNELS.items():
        for name in names:
            monkeypatch.setattr(module, name, Recorder(name, noted))
    return noted


def frame_work(effects):
    """One frame's work: network input, then labels, maps and effects."""
    prepare = Preprocessor(FRAME, MASK_WH, device=DEVICE)
    compositor = CudaCompositor(
        parse_effects(effects.split("+"), classes=CITYSCAPES_CLASSES),
        classes=CITYSCAPES_CLASSES,
        palette=CITYSCAPES_PALETTE,
        frame=FRAME,
        mask_wh=MASK_WH,
        is_matte=False,
        device=DEVICE,
    )
    slot, found = compositor.new_slot(), prepare.empty_input()
    frame, out = DevicePicture.empty(FRAME, device=DEVICE), DevicePicture.empty(compositor.out_format, device=DEVICE)
    logits = torch.zeros((1, 19, MASK_WH[1], MASK_WH[0]), device=DEVICE)

    def work():
        prepare(frame, found)
        slot.composite(frame, logits, out)

    return work, logits, out


@pytest.mark.parametrize("effects", ["driving", "outline", "tint+blur", "cutout:classes=car"])
def test_a_call_only_launches_and_always_the_same(launches, effects):
    work, logits, _ = frame_work(effects)
    work()  # the first call makes the tables of this size of logits
    runs = []
    for value in (0.0, 5.0):
        logits[:, 4] = value
        launches.clear()
        with Operations() as operations:
            work()
        assert set(operations.names) - VIEWS <= {"zero_"}, operations.names
        runs.append(list(launches))
    assert runs[0] == runs[1]
    assert {name for name, _ in runs[0]} >= {"network_input", "labels", "class_maps"}


@pytest.mark.parametrize("is_matte", [True, False], ids=["matte", "labels"])
def test_smoothing_and_edges_only_launch(launches, is_matte):
    device = torch.device(DEVICE)
    memory = StreamMemory(Postprocess(True, True), MASK_WH, FRAME, is_matte=is_matte, device=device)
    buffers, frame = MemoryBuffers(MASK_WH, device), DevicePicture.empty(FRAME, device=device)
    mask = torch.zeros_like(buffers.luma)
    out = torch.zeros((1, *memory.mask_wh[::-1]), dtype=torch.uint8, device=device)
    with Operations() as operations:
        memory.run(buffers, mask, frame, out)
    assert set(operations.names) <= VIEWS
    found = {name for name, _ in launches}
    shared = {"picture_difference", "light_and_noise", "moved_sums"}
    assert found == shared | ({"matte", "marks", "lines", "coefficients", "drawn"} if is_matte else {"labels"})


def test_an_allocation_would_be_seen(launches):
    with Operations() as operations:
        torch.empty(3)
        torch.zeros(1).item()
    assert {"empty", "zeros", "_local_scalar_dense"} <= set(operations.names), operations.names


def test_every_kernel_that_is_launched_is_watched():
    folder = Path(device_room.__file__).parent.parent
    launched = {name for path in folder.glob("*.py") for name in re.findall(r"device_code\.(\w+)\[", path.read_text())}
    assert launched == {name for names in KERNELS.values() for name in names}


@pytest.mark.needs_cuda
@pytest.mark.parametrize("effects", ["driving", "tint+blur", "cutout:classes=car"])
def test_on_a_gpu_memory_stays_flat_and_a_graph_follows_its_inputs(effects):
    work, logits, out = frame_work(effects)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    seen = []
    for index in (0, 13):
        logits.zero_()
        logits[:, index] = 5
        graph.replay()
        torch.cuda.synchronize()
        seen.append([plane.float().mean().item() for plane in out.planes])
    graph.replay()
    torch.cuda.synchronize()
    assert seen[0] != seen[1]
    work()
    torch.cuda.synchronize()
    counted = torch.cuda.memory_stats()["allocation.all.allocated"]
    work()
    torch.cuda.synchronize()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == counted >= before


COMPILING = """
import sys
import triton
from tests.kernels.ahead_of_time import compiled_for_sm_90
with compiled_for_sm_90() as compiled:
    import torch
    from rtseg.kernels.picture import DevicePicture, PictureFormat
    from rtseg.kernels.preprocess import Preprocessor
    frame = PictureFormat((1280, 720), "nv12")
    held = DevicePicture.empty(frame, device="cpu")
    kernel = Preprocessor(frame, (640, 320), device="cpu")
    kernel(held, kernel.empty_input())
    from rtseg.cuda.stream_memory import MemoryBuffers, Postprocess, StreamMemory
    for is_matte in (True, False):
        device = torch.device("cpu")
        memory = StreamMemory(Postprocess(True, True), (64, 64), frame, is_matte=is_matte, device=device)
        buffers = MemoryBuffers((64, 64), device)
        out = torch.zeros((1, *memory.mask_wh[::-1]), dtype=torch.uint8)
        memory.run(buffers, torch.zeros_like(buffers.luma), held, out)
print(sorted(compiled))
"""


@pytest.mark.slow
def test_kernels_compile_to_machine_code_for_hopper_without_a_gpu(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILING], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert "network_input" in done.stdout, done.stderr[-2000:]
    for name in (*KERNELS[edges], *KERNELS[steady]):
        assert f"'{name}'" in done.stdout
