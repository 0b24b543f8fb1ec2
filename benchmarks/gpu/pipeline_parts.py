"""Parts 4, 5, 7 and 8: frames in page-locked memory -> composited frames in host memory, through the slots.

No file is decoded and no picture is looked at by Python: what is measured is the path that rtseg's pipeline takes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.engine_parts import bare_numbers, eager_torch
from benchmarks.gpu.kernel_parts import filled
from benchmarks.gpu.setting import (
    Budget,
    Setting,
    Size,
    best_backend,
    engine_of,
    percentiles_ms,
    scene_pictures,
    yuv_format,
)
from rtseg.color import to_yuv420
from rtseg.cuda.frame_path import FramePath, compositor_for
from rtseg.cuda.memory import allocations
from rtseg.cuda.stream_memory import Postprocess
from rtseg.pipeline.device import scheduler_for
from rtseg.pipeline.slots import SlotScheduler
from rtseg.render.effects import parse_effects
from rtseg.render.hud import HudState
from rtseg.segmenter import Segmenter
from rtseg.types import Frame

DISTINCT_FRAMES = 6


@dataclass
class Path:
    """An open path with frames that lie in page-locked memory already."""

    path: FramePath
    scheduler: SlotScheduler[Frame]
    frames: list[Frame]
    backend: str
    _given: int = 0

    def next_frame(self) -> Frame:
        """The next frame of an endless stream that shows the same few pictures again and again."""
        frame = self.frames[self._given % DISTINCT_FRAMES]
        self._given += 1
        return replace(frame, frame_index=self._given, pts=self._given)


@contextmanager
def open_path(setting: Setting, model: str, effect: str, frame_wh: Size, engine_wh: Size) -> Iterator[Path]:
    """Give slots, scheduler and frames of a model and an effect."""
    name, precision = best_backend(setting, model, engine_wh)
    with engine_of(setting, model, name, precision, engine_wh) as (bundle, loaded):
        segmenter = Segmenter(bundle, loaded)  # at its defaults: mattes are smoothed and their edges refined
        effects = parse_effects([effect], classes=bundle.classes)
        held = yuv_format(frame_wh)
        pictures = [to_yuv420(rgb, matrix="bt709", full_range=False) for rgb in _even(model, frame_wh)]
        frames = [Frame(picture, index, index, Fraction(1, 30), 0) for index, picture in enumerate(pictures)]
        compositor = compositor_for(segmenter, effects, held, loaded.device_engine)
        asked = Postprocess(segmenter.smooths_masks, segmenter.refines_edges)
        path = FramePath(loaded.device_engine, setting.runtime, held, compositor, asked=asked)
        pinned = {index: _pinned(setting, frame, held) for index, frame in enumerate(frames)}
        path.enter = _entering(path, pinned)  # type: ignore[method-assign]  # the frames are page-locked already
        hud = HudState(fps=30.0, frame_age_ms=5.0, dropped=0)
        scheduler = scheduler_for(path, lambda: hud)
        try:
            yield Path(path, scheduler, frames, f"{name} {precision}")
        finally:
            scheduler.drain()
            path.close()


def _even(model: str, frame_wh: Size) -> list[np.ndarray[Any, Any]]:
    return scene_pictures(model, frame_wh, DISTINCT_FRAMES)


def _pinned(setting: Setting, frame: Frame, held: Any) -> torch.Tensor:
    flat = filled(frame.picture, held)
    lasting = setting.runtime.host_tensor(tuple(flat.shape), torch.uint8)
    lasting.copy_(flat)
    return lasting


def _entering(path: FramePath, pinned: dict[int, torch.Tensor]) -> Any:
    def enter(frame: Frame, parts: Any, hud: HudState | None) -> Sequence[torch.Tensor]:
        if parts.drawing is not None:
            path.compute.launch(lambda: parts.drawing.show(frame.pts_seconds, hud=hud, shares=None))
        return [pinned[(frame.frame_index - 1) % DISTINCT_FRAMES], *path.told(frame, parts)]

    return enter


def efficiency(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 4: composited frames a second at each frame size, against the bare engine in the same run."""
    found: dict[str, Any] = {}
    for model, effect in (("street", "driving"), ("person", "blur")):
        for name, frame_wh in setting.frame_sizes.items():
            key = f"{model} {effect} {name}"
            found[key] = {"skipped": "budget"} if budget.over else _efficiency(setting, model, effect, frame_wh)
    return found


def _efficiency(setting: Setting, model: str, effect: str, frame_wh: Size) -> dict[str, Any]:
    with open_path(setting, model, effect, frame_wh, setting.main_size) as opened:
        through(opened, setting.warm_up_frames)
        rounds = []
        for _ in range(1 if setting.dry else 3):
            bare = _resident_fps(setting, opened)
            rounds.append({"resident": bare, **through(opened, setting.frames)})
        best = max(rounds, key=lambda found: found["fps"] / found["resident"])
        name, precision = opened.backend.split()
    with engine_of(setting, model, name, precision, setting.main_size) as (_, loaded):
        engine_only = bare_numbers(setting, loaded.device_engine)["fps_one_stream"]
    return {
        **best,
        "engine_only_fps": engine_only,
        "efficiency": best["fps"] / best["resident"],
        "efficiency_against_engine_alone": best["fps"] / engine_only,
        "rounds": rounds,
        "backend": opened.backend,
        "frame_wh": list(frame_wh),
        "engine_wh": list(setting.main_size),
    }


def _resident_fps(setting: Setting, opened: Path) -> float:
    """The very graphs of the slots, one after the other, nothing copied in or out."""
    path = opened.path
    started = time.perf_counter()
    for index in range(setting.frames):
        path.compute.launch(path.slots[index % len(path.slots)].work)
    path.compute.synchronize()
    return setting.frames / (time.perf_counter() - started)


def through(opened: Path, count: int) -> dict[str, Any]:
    """Bring frames through the slots; fps from the first to the last that came out, and the cores that took."""
    scheduler, stamps = opened.scheduler, []
    copy_in, compute, copy_out = 0, 0, 0
    before = _cpu_seconds()
    started = time.perf_counter()

    def collect() -> None:
        nonlocal copy_in, compute, copy_out
        finished = scheduler.collect()
        if finished is None:
            raise RuntimeError("no frame came out; expected one")
        copy_in, compute = copy_in + finished.copy_in_ns, compute + finished.compute_ns
        copy_out += finished.copy_out_ns
        stamps.append(time.perf_counter())

    for _ in range(count):
        while scheduler.in_flight and not scheduler.has_room:
            collect()
        scheduler.submit(opened.next_frame())
    while scheduler.in_flight:
        collect()
    wall = time.perf_counter() - started
    return {
        "fps": (count - 1) / max(1e-9, stamps[-1] - stamps[0]),
        "cpu_cores": (_cpu_seconds() - before) / wall,
        "stages_ms": {
            "copy in": copy_in / count / 1e6,
            "compute": compute / count / 1e6,
            "copy out": copy_out / count / 1e6,
        },
        "frames": count,
    }


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def single_frame_latency(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 5: p50 and p99 with one frame in flight, host memory to host memory."""
    found: dict[str, Any] = {}
    for model, effect, name in (("street", "driving", "1080p"), ("person", "blur", "720p")):
        if budget.over:
            found[f"{model} {name}"] = {"skipped": "budget"}
            continue
        with open_path(setting, model, effect, setting.frame_sizes[name], setting.main_size) as opened:
            through(opened, setting.warm_up_frames)
            seconds = []
            for _ in range(setting.latency_frames):
                started = time.perf_counter()
                opened.scheduler.submit(opened.next_frame())
                opened.scheduler.collect()
                seconds.append(time.perf_counter() - started)
            found[f"{model} {name}"] = {"latency_ms": percentiles_ms(seconds), "backend": opened.backend}
    return found


def steady_memory(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 7: ten thousand frames; every counter of the allocators as before, and the driver's free memory too."""
    with open_path(setting, "street", "driving", setting.frame_sizes["1080p"], setting.main_size) as opened:
        through(opened, setting.warm_up_frames)
        before, free_before = allocations(setting.device), setting.runtime.memory_bytes()
        resident_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done = 0
        while done < setting.steady_frames and not budget.over:
            step = min(1000, setting.steady_frames - done)
            through(opened, step)
            done += step
        after, free_after = allocations(setting.device), setting.runtime.memory_bytes()
        resident_after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "frames": done,
        "allocators_before": before,
        "allocators_after": after,
        "flat": before == after and free_before == free_after,
        "driver_free_bytes": [free_before, free_after],
        "host_peak_growth_bytes": (resident_after - resident_before) * 1024,
    }


def naive_loop(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 8: the loop that two tutorials give, in eager torch, and the eager network alone, beside the pipeline."""
    del budget
    frame_wh, size_wh = setting.frame_sizes["1080p"], setting.main_size
    precision = setting.precisions["torch"][0]
    with engine_of(setting, "street", "torch", precision, size_wh) as (bundle, loaded):
        engine: Any = loaded.device_engine
        palette = torch.tensor(bundle.palette, dtype=torch.float32, device=setting.device)
        mean, std = (
            torch.tensor(values, device=setting.device).view(1, 3, 1, 1)
            for values in (bundle.network.mean, bundle.network.std)
        )
        frames = _even("street", frame_wh)
        with torch.inference_mode():
            _naive(frames[0], engine, palette, mean, std, size_wh)
            started = time.perf_counter()
            count = max(2, setting.frames // 6)
            for index in range(count):
                _naive(frames[index % DISTINCT_FRAMES], engine, palette, mean, std, size_wh)
            fps = count / (time.perf_counter() - started)
    return {"fps": fps, "frames": count, "precision": precision, "eager": eager_torch(setting, "street", size_wh)}


def _naive(rgb: Any, engine: Any, palette: Any, mean: Any, std: Any, size_wh: Size) -> Any:
    frame = torch.from_numpy(rgb).to(engine.device).float()
    batch = torch.nn.functional.interpolate(
        frame.permute(2, 0, 1)[None], size=size_wh[::-1], mode="bilinear", align_corners=False
    )
    logits = engine.forward(((batch / 255 - mean) / std).to(engine.input_dtype)).float()
    large = torch.nn.functional.interpolate(logits, size=frame.shape[:2], mode="bilinear", align_corners=False)
    overlay = palette[large.argmax(1)[0]]
    return (frame * 0.5 + overlay * 0.5).byte().cpu().numpy()
