"""The targets, held against what was measured: met, or missed by how much, stage by stage; or not measured, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Parts = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One line of the list."""

    name: str
    wanted: str
    """In words, with the unit."""
    measure: Callable[[Parts], tuple[float, float, bool, str]]
    """Returns value, limit, whether more is better, and what it is made of."""


def judge(parts: Parts) -> list[dict[str, Any]]:
    """Return every target with its verdict; a part that is missing or failed leaves its targets not measured."""
    return [_judged(target, parts) for target in TARGETS]


def _judged(target: Target, parts: Parts) -> dict[str, Any]:
    line: dict[str, Any] = {"target": target.name, "wanted": target.wanted}
    try:
        value, limit, more_is_better, stages = target.measure(parts)
    except (KeyError, TypeError, AttributeError, ZeroDivisionError, StopIteration) as error:
        return {**line, "verdict": "not measured", "why": f"{type(error).__name__}: {error}"}
    met = value >= limit if more_is_better else value <= limit
    missed = "" if met else f"missed by {abs(value - limit) / abs(limit):.0%}"
    return {**line, "value": value, "limit": limit, "verdict": "met" if met else missed, "stages": stages}


def _result(parts: Parts, part: str) -> Any:
    return parts[part]["result"]


def _case(parts: Parts, size: str, start: str = "street") -> Any:
    cases = _result(parts, "efficiency")
    return next(
        case for name, case in cases.items() if name.startswith(start) and name.endswith(size) and "fps" in case
    )


def _stages(case: Any) -> str:
    times = ", ".join(f"{name} {milliseconds:.3f} ms" for name, milliseconds in case["stages_ms"].items())
    return f"{times}; {case['cpu_cores']:.2f} cores; {case['backend']}"


def _efficiency(parts: Parts) -> tuple[float, float, bool, str]:
    case = _case(parts, "1080p")
    return case["efficiency"], 0.90, True, _stages(case)


def _cores(parts: Parts) -> tuple[float, float, bool, str]:
    case = _case(parts, "1080p")
    return case["cpu_cores"], 1.0, False, _stages(case)


def _green_screen(parts: Parts) -> tuple[float, float, bool, str]:
    case = _case(parts, "720p", "person")
    return case["stages_ms"]["compute"], 0.75, False, _stages(case)


def _street_fps(parts: Parts) -> tuple[float, float, bool, str]:
    case = _case(parts, "1080p")
    return case["fps"], 1000.0, True, _stages(case)


def _latency(parts: Parts) -> tuple[float, float, bool, str]:
    found = _result(parts, "latency")["street 1080p"]
    bare = _bare_main(parts, found["backend"])["latency_ms"]["p99"]
    return found["latency_ms"]["p99"], 1.5 * bare + 2.0, False, f"bare p99 {bare:.3f} ms; {found['backend']}"


def _preprocess(case: str) -> Callable[[Parts], tuple[float, float, bool, str]]:
    def measure(parts: Parts) -> tuple[float, float, bool, str]:
        cases = _result(parts, "kernel_times")
        name = next(name for name in reversed(cases) if name.startswith(case))  # of 1080p, the batch comes last
        times = cases[name]["preprocess"]
        return times["ratio"], 1.6, False, f"kernel {times['kernel_ms']:.4f} ms, copy {times['copy_ms']:.4f} ms"

    return measure


def _composite(parts: Parts) -> tuple[float, float, bool, str]:
    times = _result(parts, "kernel_times")["1080p batch 1"]["composite tint"]
    backend = _case(parts, "1080p")["backend"]
    bare = _bare_main(parts, backend)["latency_ms"]["p50"]
    return times["kernel_ms"], max(0.05 * bare, 0.040), False, f"bare inference {bare:.3f} ms"


def _tensorrt(parts: Parts) -> tuple[float, float, bool, str]:
    eager = _result(parts, "naive")["eager"]["fps"]
    bare = _bare_main(parts, "tensorrt fp16")["fps"]
    return bare / eager, 1.5, True, f"TensorRT {bare:.0f} fps, eager torch {eager:.0f} fps"


def _bare_main(parts: Parts, backend: str) -> Any:
    cases = _result(parts, "bare")
    sizes = [name.rsplit(" ", 1)[1] for name in cases if name.startswith("street ")]
    return cases[f"street {backend} {sizes[0]}"]  # the main size is measured first


TARGETS = (
    Target("pipeline efficiency at 1080p", ">= 0.90 of the bare engine", _efficiency),
    Target("cores at 1080p", "<= 1 CPU core", _cores),
    Target("mask plus composite at 720p", "<= 0.75 ms", _green_screen),
    Target("street 1024x512 fp16, composited 1080p", ">= 1,000 frames a second", _street_fps),
    Target("single-frame latency p99", "<= 1.5 x bare + 2 ms", _latency),
    Target("preprocess at 4K", "<= 1.6 x a device copy", _preprocess("4K")),
    Target("preprocess at batch 8", "<= 1.6 x a device copy", _preprocess("1080p batch ")),
    Target("composite at 1080p", "<= 5 % of bare inference or 40 us", _composite),
    Target("TensorRT against eager torch fp16", ">= 1.5 x", _tensorrt),
)
