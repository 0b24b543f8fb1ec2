"""Everything that only a GPU can prove, with one command, in at most nine minutes.

    python benchmarks/gpu/check.py --out results.json          on a machine with an NVIDIA GPU
    python benchmarks/gpu/check.py --out dry.json --dry        the same flow on the CPU, tiny, interpreted kernels

Needs torch, triton, numpy and OpenCV; TensorRT is used where it is installed and runs. Nothing is decoded, encoded or
displayed. Each part has a budget of seconds and fails for itself: what went wrong is in the JSON and the others go on.
The targets are compared at the end. A dry run proves that the flow works and says nothing about speed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = {
    "kernels": 45.0,
    "engines": 120.0,
    "bare": 130.0,
    "efficiency": 90.0,
    "latency": 20.0,
    "kernel_times": 40.0,
    "steady": 45.0,
    "naive": 20.0,
}
"""Seconds, 510 in all; a part begins nothing new when they are over, and the next begins with its own."""


def main(arguments: list[str] | None = None) -> int:
    """Run the parts, write the JSON, print the verdicts; 0: every part ran, 1: one failed, 2: there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the JSON goes")
    parser.add_argument("--dry", action="store_true", help="on the CPU, tiny, with interpreted kernels")
    parser.add_argument("--parts", help="only these, joined by commas: " + ",".join(BUDGETS))
    chosen = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    if chosen.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined
    document = facts(dry=chosen.dry)
    if document["gpu"] is None and not chosen.dry:
        document["parts"], document["targets"] = {}, []
        document["note"] = "No GPU was at hand: nothing was measured, and no number is given."
        write(chosen.out, document)
        print(document["note"])
        return 2
    names = chosen.parts.split(",") if chosen.parts else list(BUDGETS)
    document["parts"] = run_parts(names, dry=chosen.dry)
    from benchmarks.gpu.targets import judge

    document["targets"] = [] if chosen.dry else judge(document["parts"])
    write(chosen.out, document)
    show(document)
    return 1 if any(part["error"] for part in document["parts"].values()) else 0


def facts(*, dry: bool) -> dict[str, Any]:
    """Machine, GPU, driver, versions and date."""
    from rtseg.backends.device_facts import gpu_facts
    from rtseg.stats import machine_facts

    gpu = None if dry else gpu_facts()
    machine = machine_facts()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "dry": dry,
        "gpu": None if gpu is None else gpu.to_json(),
        "machine": machine,
        "triton": _version("triton"),
    }


def _version(name: str) -> str | None:
    from rtseg.stats import package_version

    return package_version(name)


def run_parts(names: list[str], *, dry: bool) -> dict[str, Any]:
    """Run the parts in their order, each guarded."""
    from benchmarks.gpu import engine_parts, kernel_parts, pipeline_parts, setting

    parts: dict[str, Callable[[Any, Any], dict[str, Any]]] = {
        "kernels": kernel_parts.kernels_against_cpu,
        "engines": engine_parts.build_and_parity,
        "bare": engine_parts.bare_engines,
        "efficiency": pipeline_parts.efficiency,
        "latency": pipeline_parts.single_frame_latency,
        "kernel_times": kernel_parts.kernel_times,
        "steady": pipeline_parts.steady_memory,
        "naive": pipeline_parts.naive_loop,
    }
    if unknown := sorted(set(names) - set(parts)):
        raise SystemExit(f"--parts: got {', '.join(unknown)}; expected some of {', '.join(parts)}.")
    where = setting.dry() if dry else setting.on_gpu()
    return {name: guarded(name, part, where) for name, part in parts.items() if name in names}


def guarded(name: str, part: Callable[[Any, Any], dict[str, Any]], where: Any) -> dict[str, Any]:
    """Run one part with its budget; what it raises is recorded and goes no further."""
    from benchmarks.gpu.setting import Budget

    print(f"{name} …", flush=True)
    started = time.monotonic()
    result: dict[str, Any] | None = None
    error: str | None = None
    try:
        result = part(where, Budget(BUDGETS[name]))
    except Exception as failure:  # noqa: BLE001  one part must not take the others along
        error = f"{type(failure).__name__}: {failure}"
        trace = traceback.format_exc().splitlines()[-12:]
        print("\n".join(trace), file=sys.stderr)
    seconds = time.monotonic() - started
    print(f"{name}: {'failed: ' + error if error else 'done'} after {seconds:.1f} s", flush=True)
    return {"seconds": round(seconds, 2), "budget_seconds": BUDGETS[name], "error": error, "result": result}


def write(path: Path, document: dict[str, Any]) -> None:
    """Write the JSON with figures that can be read."""
    path.write_text(json.dumps(_rounded(document), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {str(key): _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def show(document: dict[str, Any]) -> None:
    """Print what was refused and every target with its verdict."""
    engines = (document["parts"].get("engines") or {}).get("result") or {}
    for refusal in engines.get("refused", []):
        print(f"refused: {refusal}")
    for line in document["targets"]:
        value = f"{line['value']:.4g} (limit {line['limit']:.4g})" if "value" in line else line.get("why", "")
        print(f"{line['target']:45} {line['wanted']:35} {line['verdict']:18} {value}")
    if document["dry"]:
        print("dry run: the flow works; nothing here says how fast anything is")


if __name__ == "__main__":
    sys.exit(main())
