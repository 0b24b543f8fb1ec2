"""What is measured on: the device, the sizes, the engines; and how a time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from rtseg.backends.base import EngineRequest
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.device_runtime import CpuRuntime, CudaRuntime, DeviceRuntime
from rtseg.kernels.picture import PictureFormat
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.scenes.desk import DeskScene
from rtseg.scenes.street import StreetScene

Size = tuple[int, int]


@dataclass(frozen=True)
class Setting:
    """Everything that differs between a GPU and a dry run."""

    dry: bool
    runtime: DeviceRuntime
    frame_sizes: dict[str, Size]
    engine_sizes: tuple[Size, ...]
    precisions: dict[str, tuple[str, ...]]
    frames: int
    """Frames of a throughput measurement."""
    warm_up_frames: int
    """Of every path before it is measured."""
    latency_frames: int
    steady_frames: int
    repeats: int
    """Of a timed kernel."""
    parity_frames: int
    refused: list[str] = field(default_factory=list)
    """Backends that could not be used, each with its reason, once."""
    chosen: dict[tuple[str, Size], tuple[str, str]] = field(default_factory=dict)
    """Backend and precision that were found to run, by model and size."""

    @property
    def device(self) -> torch.device:
        """Where everything lies."""
        return self.runtime.device

    @property
    def main_size(self) -> Size:
        """The engine size of the targets, 1024x512."""
        return self.engine_sizes[len(self.engine_sizes) // 2]


def on_gpu() -> Setting:
    """The real thing."""
    return Setting(
        dry=False,
        runtime=CudaRuntime(),
        frame_sizes={"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)},
        engine_sizes=((512, 256), (1024, 512), (2048, 1024)),
        precisions={"tensorrt": ("fp16", "int8"), "torch": ("fp16",)},
        frames=600,
        warm_up_frames=60,
        latency_frames=500,
        steady_frames=10_000,
        repeats=100,
        parity_frames=32,
    )


def dry() -> Setting:
    """The same flow on the CPU with interpreted kernels: says that it runs, not how fast anything is."""
    return Setting(
        dry=True,
        runtime=CpuRuntime(),
        frame_sizes={"720p": (32, 18), "1080p": (48, 28), "4K": (64, 36)},
        engine_sizes=((64, 64), (64, 32), (128, 64)),
        precisions={"torch": ("fp32",)},
        frames=3,
        warm_up_frames=1,
        latency_frames=2,
        steady_frames=4,
        repeats=1,
        parity_frames=2,
    )


@contextmanager
def engine_of(
    setting: Setting, model: str, backend: str, precision: str, size_wh: Size, *, batch: int = 1
) -> Iterator[tuple[Bundle, DeviceBackend]]:
    """Give a bundle at an input size with its engine loaded, TensorRT's built where there is none yet."""
    bundle = load_bundle(model)
    bundle = replace(bundle, network=replace(bundle.network, size_wh=size_wh))
    request = EngineRequest(
        bundle.network_for(precision),
        precision,  # type: ignore[arg-type]
        "throughput",
        model=model,
        batch=batch,
        torch_network=bundle.torch_network,
    )
    loaded = new_backend(backend)
    loaded.load(request)
    try:
        loaded.release_slots()
        yield bundle, loaded
    finally:
        loaded.close()
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()


def new_backend(name: str) -> DeviceBackend:
    """A backend with nothing loaded."""
    if name == "torch":
        from rtseg.backends.torch import TorchBackend

        return TorchBackend()
    from rtseg.backends.tensorrt import TensorRTBackend
    from rtseg.builder.engine_on_demand import EnginesOnDemand

    return TensorRTBackend(EnginesOnDemand(lambda note: print(f"    {note}", flush=True)))


def best_backend(setting: Setting, model: str, size_wh: Size) -> tuple[str, str]:
    """The backend and precision that the pipeline parts use: TensorRT in fp16 where it runs, else torch."""
    if (model, size_wh) in setting.chosen:
        return setting.chosen[model, size_wh]
    for name, precisions in setting.precisions.items():
        if any(reason.startswith(f"{name}:") for reason in setting.refused):
            continue
        try:
            with engine_of(setting, model, name, precisions[0], size_wh):
                setting.chosen[model, size_wh] = name, precisions[0]
                return name, precisions[0]
        except Exception as error:  # noqa: BLE001  whatever keeps a vendor's runtime from working is what is recorded
            setting.refused.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    raise RuntimeError(f"no backend runs here: {'; '.join(setting.refused)}")


def scene_pictures(model: str, size_wh: Size, count: int) -> list[np.ndarray[Any, Any]]:
    """Rendered pictures that change from one to the next, rgb uint8 [H, W, 3], scaled from at most 960x540."""
    import cv2

    drawn_wh = (min(size_wh[0], 960), min(size_wh[1], 540))
    scene = (DeskScene if model == "person" else StreetScene)(size_wh=drawn_wh, seed=3)
    pictures = [scene.render(0.37 * index) for index in range(count)]
    return [picture if drawn_wh == size_wh else cv2.resize(picture, size_wh) for picture in pictures]


def yuv_format(size_wh: Size) -> PictureFormat:
    """How decoded video comes in."""
    return PictureFormat(size_wh, "i420", "bt709")


def random_bytes(count: int, seed: int) -> torch.Tensor:
    """Bytes that differ from call to call, uint8 [1, count] on the host."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, count), np.uint8))


def timed_ms(setting: Setting, work: Callable[[], None], *, calls: int = 1) -> dict[str, float]:
    """Median, least and most milliseconds of a call on the device, by events; recorded as one graph where it can be."""
    runtime = setting.runtime
    stream = runtime.new_stream()

    def steps() -> None:
        for _ in range(calls):
            work()

    runtime.synchronize()
    runtime.launch(stream, steps)
    runtime.synchronize()
    replay = runtime.record(stream, steps) if runtime.has_graphs else steps
    start, end = runtime.new_event(blocking=False), runtime.new_event(blocking=False)
    found: list[float] = []
    settling = 0 if setting.dry else 2
    for _ in range(max(1, setting.repeats // calls) + settling):
        start.record(stream)
        runtime.launch(stream, replay)
        end.record(stream)
        end.synchronize()
        found.append(start.elapsed_time(end) / calls)
    kept = found[settling:]
    return {"median": statistics.median(kept), "min": min(kept), "max": max(kept)}


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the longest."""
    milliseconds = np.asarray(seconds) * 1e3
    return {
        "p50": float(np.percentile(milliseconds, 50)),
        "p99": float(np.percentile(milliseconds, 99)),
        "max": float(milliseconds.max()),
    }


class Budget:
    """The seconds of one part."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._until - time.monotonic()

    @property
    def over(self) -> bool:
        """True where nothing new may be begun."""
        return self.left <= 0
