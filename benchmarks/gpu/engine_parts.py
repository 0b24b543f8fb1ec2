"""Parts 2, 3 and 8's first half: building, parity with the graph on, and what the bare engine does.

Bare engine: the same contexts and graphs that the slots use, with the data resident on the device.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import Any

import torch

from benchmarks.gpu.reference import masks_of, reference_masks
from benchmarks.gpu.setting import Budget, Setting, Size, engine_of, percentiles_ms, scene_pictures, timed_ms
from rtseg.backends.device import DeviceEngine
from rtseg.cuda.frame_path import SLOTS

MODELS = ("street", "person")
LEAST_AGREEMENT = {"fp32": 0.995, "fp16": 0.995, "int8": 0.97}
"""int8 is judged by the gate, with mIoU; here the agreement of labels says whether it is the same network."""


def build_and_parity(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 2: load every engine at its own size, with graphs and changing inputs, against fp32 on the CPU."""
    found: dict[str, Any] = {}
    for backend, precisions in setting.precisions.items():
        for model in MODELS:
            for precision in precisions:
                name = f"{model} {backend} {precision}"
                found[name] = {"skipped": "budget"} if budget.over else _parity(setting, model, backend, precision)
    return {"engines": found, "refused": setting.refused}


def _parity(setting: Setting, model: str, backend: str, precision: str) -> dict[str, Any]:
    size_wh = setting.engine_sizes[0] if setting.dry else setting.main_size
    started = time.monotonic()
    try:
        with engine_of(setting, model, backend, precision, size_wh) as (bundle, loaded):
            seconds = time.monotonic() - started
            pictures = scene_pictures(model, size_wh, setting.parity_frames)
            masks = masks_of(loaded, pictures)
            expected, reference = reference_masks(bundle, model, pictures)
            info = loaded.info
    except Exception as error:  # noqa: BLE001  a refusal of a vendor's runtime is a result, and is recorded as one
        reason = f"{backend}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        setting.refused.append(reason)
        return {"refused": reason, "seconds": time.monotonic() - started}
    agreement = [float((a == b).mean()) for a, b in zip(masks, expected, strict=True)]
    stale = [float((mask == before).mean()) for mask, (before, _) in zip(masks[1:], pairwise(expected), strict=True)]
    return {
        "size_wh": list(size_wh),
        "load_seconds": seconds,
        "frames": len(pictures),
        "label_agreement": statistics.mean(agreement),
        "worst_frame": min(agreement),
        "agreement_with_the_frame_before": statistics.mean(stale),
        "accepted": statistics.mean(agreement) >= max(LEAST_AGREEMENT[precision], statistics.mean(stale)),
        "reference": reference,
        "backend": f"{info.name} {info.version} {info.precision}",
        "settings": dict(info.settings),
        "reasons": list(info.reasons),
    }


def bare_engines(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 3: throughput and latency of every engine with its data resident on the device; the main size first."""
    found: dict[str, Any] = {}
    sizes = sorted(setting.engine_sizes, key=lambda size: size != setting.main_size)
    for size_wh in sizes:
        for model in MODELS:
            for backend, precisions in setting.precisions.items():
                for precision in precisions:
                    name = f"{model} {backend} {precision} {size_wh[0]}x{size_wh[1]}"
                    found[name] = _bare(setting, budget, model, backend, precision, size_wh)
    return found


def _bare(setting: Setting, budget: Budget, model: str, backend: str, precision: str, size_wh: Size) -> dict[str, Any]:
    if budget.over:
        return {"skipped": "budget"}
    if any(reason.startswith(f"{backend}: BackendUnavailable") for reason in setting.refused):
        return {"skipped": f"{backend} does not run here"}
    try:
        with engine_of(setting, model, backend, precision, size_wh) as (_, loaded):
            return bare_numbers(setting, loaded.device_engine)
    except Exception as error:  # noqa: BLE001  as above
        return {"refused": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def bare_numbers(setting: Setting, engine: DeviceEngine) -> dict[str, Any]:
    """Frames a second with all contexts busy on streams of their own, and the latency of one inference alone."""
    runtime = setting.runtime
    contexts = [engine.new_context() for _ in range(SLOTS)]
    for index, context in enumerate(contexts):
        context.input.copy_(torch.rand(context.input.shape, generator=torch.Generator().manual_seed(index)))
    runtime.synchronize()
    streams = [runtime.new_stream() for _ in contexts]
    replays = []
    for context, stream in zip(contexts, streams, strict=True):
        runtime.launch(stream, lambda c=context, s=stream: c.enqueue(s))
        runtime.synchronize()
        graphed = runtime.has_graphs and context.is_recordable(stream)
        replays.append(
            runtime.record(stream, lambda c=context, s=stream: c.enqueue(s))
            if graphed
            else (lambda c=context, s=stream: c.enqueue(s))
        )
    frames = setting.frames
    started = time.perf_counter()
    for index in range(frames):
        at = index % len(contexts)
        runtime.launch(streams[at], replays[at])
    runtime.synchronize()
    overlapped = frames / (time.perf_counter() - started)
    started = time.perf_counter()
    for index in range(frames):
        runtime.launch(streams[0], replays[index % len(contexts)])
    runtime.synchronize()
    in_a_row = frames / (time.perf_counter() - started)
    return {
        "fps": max(overlapped, in_a_row),
        "fps_streams_apart": overlapped,
        "fps_one_stream": in_a_row,
        "latency_ms": _latency(setting, streams[0], replays[0]),
        "graph": runtime.has_graphs,
    }


def _latency(setting: Setting, stream: Any, replay: Any) -> dict[str, float]:
    event = setting.runtime.new_event(blocking=False)
    seconds = []
    for _ in range(setting.latency_frames):
        started = time.perf_counter()
        setting.runtime.launch(stream, replay)
        event.record(stream)
        event.synchronize()
        seconds.append(time.perf_counter() - started)
    return percentiles_ms(seconds)


def eager_torch(setting: Setting, model: str, size_wh: Size) -> dict[str, Any]:
    """The network in eager torch, no graph, its data resident: what TensorRT and the graphs are measured against."""
    precision = setting.precisions["torch"][0]
    with engine_of(setting, model, "torch", precision, size_wh) as (_, loaded):
        engine: Any = loaded.device_engine
        batch = torch.rand(engine.input_shape_nchw).to(device=engine.device, dtype=engine.input_dtype)
        for _ in range(3):
            engine.forward(batch)
        setting.runtime.synchronize()
        started = time.perf_counter()
        for _ in range(setting.frames):
            engine.forward(batch)
        setting.runtime.synchronize()
        seconds = time.perf_counter() - started
        graphed = timed_ms(setting, lambda: _drop(engine.forward(batch)))
    return {"fps": setting.frames / seconds, "precision": precision, "same_as_one_graph_ms": graphed["median"]}


def _drop(found: Any) -> None:
    del found
