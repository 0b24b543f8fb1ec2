"""Keys and manifests of engines that nobody has to compile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rtseg.cuda_device import CudaDevice
from rtseg.engine_files.key import EngineKey
from rtseg.engine_files.manifest import EngineManifest, Proof, TensorFacts

GPU = CudaDevice("NVIDIA Test", "9.0", "580.65.06")
OTHER_GPU = CudaDevice("NVIDIA Other", "8.9", "580.65.06")
PLAN = bytes(range(256)) * 64


def key(**changes: Any) -> EngineKey:
    """A key, with some fields changed."""
    plain = EngineKey(
        model="street",
        model_sha256="a" * 64,
        network="facts",
        size_wh=(640, 320),
        batch=1,
        precision="fp16",
        form="planes",
        flavour="tensorrt_rtx",
        flavour_version="1.7.1",
        gpu="none",
        compute_capability="none",
        driver="none",
    )
    return replace(plain, **changes)


def on_gpu(device: CudaDevice = GPU, **changes: Any) -> EngineKey:
    """A key for a GPU."""
    return key(gpu=device.name, compute_capability=device.compute_capability, driver=device.driver, **changes)


def manifest(of: EngineKey | None = None, **changes: Any) -> EngineManifest:
    """A manifest, with some fields changed."""
    plain = EngineManifest(
        key=of or key(),
        inputs=(TensorFacts("image", "planes", "float16", (1, 3, 320, 640), "NCHW"),),
        outputs=(TensorFacts("logits", "logits", "float16", (1, 19, 320, 640), "NCHW"),),
        built_at="2026-01-02T03:04:05+00:00",
        build_seconds=1.5,
        layers={"CONVOLUTION float16": 57},
        kept_fp32=("mean",),
        machine={"cores": 2},
    )
    return replace(plain, **changes)


def proof(device: CudaDevice = GPU, *, accepted: bool = True) -> Proof:
    """What the gate might have said."""
    return Proof(device, accepted, "accepted: fine", {"frames": 32}, "2026-01-02T03:04:06+00:00")


def store(cache: Any, of: EngineKey | None = None, plan: bytes = PLAN) -> Any:
    """Put an engine into a cache."""
    wanted = of or key()
    with cache.exclusive(wanted):
        return cache.store(manifest(wanted), plan)
