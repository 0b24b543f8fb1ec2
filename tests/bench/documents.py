"""Documents as `rtseg bench` makes them, for the tests of what is made of them."""

from __future__ import annotations

import copy
import statistics
from typing import Any

STAGES = {"decode": 2.4, "preprocess": 0.6, "infer": 31.0, "postprocess": 0.4, "render": 1.9, "sink null": 0.01}


def summary(middle: float, count: int = 600) -> dict[str, float]:
    """Percentiles around a median."""
    points = {"mean": 1.04, "p50": 1.0, "p95": 1.3, "p99": 1.6, "max": 2.4}
    return {"count": count, **{name: round(middle * factor, 3) for name, factor in points.items()}}


def result(
    model: str = "street",
    precision: str = "int8",
    *,
    fps: tuple[float, ...] = (50.0, 52.0, 51.0),
    score: tuple[str, float] | None = ("CamVid val mIoU", 0.661),
    **changes: Any,
) -> dict[str, Any]:
    """One result with every field; the bare engine is a fifth faster, the limit a tenth higher."""
    middle = statistics.median(fps)
    values = {
        "fps": list(fps),
        "bare_fps": [value * 1.2 for value in fps],
        "efficiency": [0.84, 0.83, 0.835][: len(fps)],
        "limit_fps": [value * 1.1 for value in fps],
        "limit_share": [0.91, 0.90, 0.909][: len(fps)],
        "core_ms": [1900 / value for value in fps],
    }
    latency = 2000 / middle
    made = {
        "model": model,
        "backend": "openvino",
        "precision": precision,
        "size": [640, 320],
        "source": {"name": "clip.mp4", "kind": "file", "size_wh": [960, 540], "frame_rate": 30.0, "codec": "h264"},
        "effect": "driving",
        "sink": "null",
        "policy": "every",
        "sources": 1,
        "pace_hz": None,
        "repeats": len(fps),
        "values": values,
        **{name: statistics.median(found) for name, found in values.items()},
        "spread": {name: (max(v) - min(v)) / statistics.median(v) for name, v in values.items()},
        "limit": {"cores": 2, "decode_core_ms": 2.5, "infer_core_ms": 1500 / middle, "encode_core_ms": 0.0},
        "faults": [],
        "latency_ms": summary(latency),
        "frame_age_ms": summary(latency * 1.1),
        "stages": {name: {**summary(ms), "busy_share": min(1.0, ms / 40)} for name, ms in STAGES.items()},
        "histogram": {
            "latency_ms": {
                "edges": [latency * 1.1**step for step in range(-4, 7)],
                "counts": [3, 21, 80, 170, 150, 90, 50, 20, 12, 4],
            }
        },
        "drops": {},
        "frames": 600,
        "warm_up": {"frames": 60, "seconds": 1.4, "steady": True},
        "cpu_cores": 1.9,
        "core_ms": statistics.median(values["core_ms"]),
        "memory_peak_mib": 420.0,
        "gpu": None,
        "energy_j_per_frame": None,
        "glass_ms": None,
        "capacity": None,
        "reasons": ["openvino, as asked."],
        "score": None if score is None else {"name": score[0], "value": score[1]},
        "error": None,
    }
    return {**made, **changes}


def failed(model: str = "street", error: str = "tensorrt: got no GPU; expected one.", **changes: Any) -> dict[str, Any]:
    """A result that could not run, as short as the core makes it."""
    short = {"model": model, "backend": "tensorrt", "precision": "auto", "size": None, "source": {"name": "clip.mp4"}}
    return {**short, "effect": "driving", "sink": "null", "error": error, **changes}


def document(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A document with these results."""
    made = {
        "format": 1,
        "machine": {
            "cpu": "A Processor 3000",
            "cores": 2,
            "system": "Linux 6.1",
            "python": "3.11.7",
            "versions": {"rtseg": "0.1.0", "openvino": "2026.0.0"},
            "governor": "performance",
            "clocks_mhz": [2600, 2600],
            "memory": "24.0 GiB",
            "gpu": None,
        },
        "date": "2026-11-23",
        "command": "rtseg bench street",
        "timed": ["fps: frames that the last sink has taken."],
        "not_timed": ["Loading and compiling of models."],
        "interrupted": False,
        "results": list(results),
    }
    return copy.deepcopy({**made, **changes})


def rich_document() -> dict[str, Any]:
    """A document with everything that a report can show, and everything that can be wrong."""
    capacity = {
        "cameras": 3,
        "pace_hz": 30,
        "p99_limit_ms": 100,
        "tried": [
            {"cameras": 1, "p99_ms": 31.0, "drops": 0, "held": True},
            {"cameras": 2, "p99_ms": 44.0, "drops": 0, "held": True},
            {"cameras": 4, "p99_ms": 900.0, "drops": 812, "held": False},
            {"cameras": 3, "p99_ms": 71.0, "drops": 0, "held": True},
        ],
    }
    glass = {"count": 300, "p50": 61.2, "p95": 80.1, "p99": 97.0, "max": 130.0, "unreadable": 4}
    gpu = {"share": 0.43, "power_w": 88.0, "vram_mib": 812.0}
    return document(
        result("street", "int8"),
        result("street", "bf16", fps=(30.1, 30.9, 30.4), score=("CamVid val mIoU", 0.672)),
        result("street-lite", "int8", fps=(88.0, 90.5, 89.0), score=("CamVid val mIoU", 0.601), glass_ms=glass),
        result("person", "int8", fps=(120.0, 131.0, 118.0), score=("portraits val IoU", 0.93), effect="blur"),
        result("mine", "fp32", fps=(12.0, 12.1, 12.3), score=None, gpu=gpu, energy_j_per_frame=1.23),
        result(
            "street", "int8", fps=(60.0, 62.0, 61.0), sink=".mp4",
            limit_share=1.02, faults=["limit_share 1.02 is above 1: a measuring fault"],
        ),
        result("street", "int8", fps=(30.0,), pace_hz=30.0, sources=3, policy="freshest", capacity=capacity,
               drops={"newer_frame": 12}, warm_up={"frames": 9, "seconds": 0.3, "steady": False}),
        failed("street"),
    )  # fmt: skip
