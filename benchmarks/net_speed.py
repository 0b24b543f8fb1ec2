"""What each network definition costs on this CPU: milliseconds of CPU time, parameters, multiply-adds.

Random weights, exported as they would ship (training-only heads gone, batch norms folded, logits at the input's size,
argmax in the graph) and run in OpenVINO at its default precision (bf16 where the CPU has it). All networks take turns
in one run, one picture each a round, so that what else the machine does falls on all alike; what counts is the ratio
to the first line. CPU time is that of all threads of the process; wall time is printed beside it, and is larger on a
busy machine.

Not timed: export, compilation, the first pictures, decoding, preprocessing.

    python benchmarks/net_speed.py [--reference FILE.onnx]... [--size 512x256]... [--only ddrnet]... [--rounds 30]
                                   [--threads 2] [--head-size] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rtseg.models.nets import BiSeNetV2, LrasppMobileNetV3
from rtseg.models.nets.blocks import folded
from rtseg.models.nets.counting import count_cost
from rtseg.models.nets.ddrnet import ddrnet23_slim, ddrnet_compact
from rtseg.models.nets.pidnet import pidnet_compact, pidnet_small
from rtseg.models.nets.pp_liteseg import PpLiteSeg, pp_liteseg_compact
from rtseg.models.nets.regseg import SMALL_PICTURE_DILATIONS, RegSeg
from rtseg.stats import machine_facts

openvino: Any = import_module("openvino")
opset13: Any = import_module("openvino.opset13")


def bisenet(**settings: Any) -> nn.Module:
    """A BiSeNetV2 as it ships."""
    network = folded(BiSeNetV2(19, **settings))
    network.auxiliary = nn.ModuleList()
    return network


# Each is called with whether the logits are to be enlarged to the input's size; the lite ASPP head always does.
NETWORKS: dict[str, Callable[[bool], nn.Module]] = {
    "bisenetv2 half fine": lambda full: bisenet(width=0.5, head_channels=96, fine=True, full_size=full),
    "bisenetv2": lambda full: bisenet(full_size=full),
    "ddrnet-23-slim": lambda full: ddrnet23_slim(full_size=full).deploy(),
    "ddrnet compact": lambda full: ddrnet_compact(full_size=full).deploy(),
    "ddrnet compact fine": lambda full: ddrnet_compact(fine=True, full_size=full).deploy(),
    "pidnet-s": lambda full: pidnet_small(full_size=full).deploy(),
    "pidnet compact": lambda full: pidnet_compact(full_size=full).deploy(),
    "pidnet compact fine": lambda full: pidnet_compact(fine=True, full_size=full).deploy(),
    "pp-liteseg-t": lambda full: PpLiteSeg(full_size=full).deploy(),
    "pp-liteseg compact": lambda full: pp_liteseg_compact(full_size=full).deploy(),
    "regseg": lambda full: RegSeg(full_size=full).deploy(),
    "regseg small picture": lambda full: RegSeg(dilations=SMALL_PICTURE_DILATIONS, full_size=full).deploy(),
    "lraspp mobilenetv3 large": lambda _: folded(LrasppMobileNetV3(19, "large", reduced_tail=False)),
    "lraspp mobilenetv3 large reduced": lambda _: folded(LrasppMobileNetV3(19, "large")),
    "lraspp mobilenetv3 small reduced": lambda _: folded(LrasppMobileNetV3(19, "small")),
}


@dataclass
class Runner:
    """One network at one size, compiled."""

    name: str
    size_wh: tuple[int, int]
    request: Any
    precision: str
    parameters: int | None = None
    multiply_adds: int | None = None
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def once(self, keep: bool) -> None:
        """Run one picture; remember its times if asked."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.request.infer()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if keep:
            self.cpu_ms.append(1e3 * cpu)
            self.wall_ms.append(1e3 * wall)

    def summary(self, first: Runner) -> dict[str, Any]:
        """The line of the table, with the ratio to the first network."""
        cpu, reference = statistics.median(self.cpu_ms), statistics.median(first.cpu_ms)
        return {
            "network": self.name,
            "size_wh": list(self.size_wh),
            "precision": self.precision,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "cpu_ms": round(cpu, 2),
            "cpu_ms_least": round(min(self.cpu_ms), 2),
            "wall_ms": round(statistics.median(self.wall_ms), 2),
            "times_faster_than_first": round(reference / cpu, 2),
        }


def compiled(core: Any, path: Path, threads: int) -> tuple[Any, str, tuple[int, int]]:
    """A request of the ONNX file with its argmax, its precision, and its input size."""
    model = core.read_model(str(path))
    logits = model.output(0).get_node().input_value(0)
    best = opset13.topk(logits, np.int64(1), 1, "max", "none", index_element_type="i32").output(1)
    labels = opset13.convert(best, "u8")
    model = openvino.Model([labels], model.get_parameters(), path.stem)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    ready = core.compile_model(model, "CPU", settings)
    request = ready.create_infer_request()
    shape = tuple(ready.input(0).shape)
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    request.set_input_tensor(openvino.Tensor(values))
    return request, str(ready.get_property("INFERENCE_PRECISION_HINT").get_type_name()), (shape[3], shape[2])


def defined(core: Any, name: str, size_wh: tuple[int, int], arguments: argparse.Namespace, folder: Path) -> Runner:
    """One of the definitions, exported and compiled."""
    torch.manual_seed(0)
    network = NETWORKS[name](not arguments.head_size)
    path = folder / f"{name.replace(' ', '_')}_{size_wh[0]}x{size_wh[1]}.onnx"
    example = torch.zeros(1, 3, size_wh[1], size_wh[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of every size it turns into a constant, which is the aim
        torch.onnx.export(network, (example,), str(path), opset_version=17, input_names=["image"], dynamo=False)
    request, precision, _ = compiled(core, path, arguments.threads)
    cost = count_cost(network, size_wh)
    return Runner(name, size_wh, request, precision, cost.parameters, cost.multiply_adds)


def runners(arguments: argparse.Namespace, folder: Path) -> list[Runner]:
    """Every network to time, references first."""
    core, found = openvino.Core(), []
    for path in arguments.reference:
        request, precision, size_wh = compiled(core, path, arguments.threads)
        found.append(Runner(path.stem, size_wh, request, precision))
    chosen = [n for n in NETWORKS if not arguments.only or any(part in n for part in arguments.only)]
    for size in arguments.size or ["512x256", "1024x512"]:
        width, height = map(int, size.split("x"))
        found += [defined(core, name, (width, height), arguments, folder) for name in chosen]
    if not found:
        sys.exit(f"networks: got --only {arguments.only}; expected part of one of {list(NETWORKS)}.")
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """The results as text."""
    rows = [f"{'network':<34}{'size':>10}{'M params':>9}{'G madds':>9}{'CPU ms':>9}{'wall ms':>9}{'x first':>9}"]
    for line in lines:
        size = "x".join(map(str, line["size_wh"]))
        counts = [
            f"{line[k] / unit:.2f}" if line[k] else "" for k, unit in (("parameters", 1e6), ("multiply_adds", 1e9))
        ]
        rows.append(
            f"{line['network']:<34}{size:>10}{counts[0]:>9}{counts[1]:>9}"
            f"{line['cpu_ms']:>9.2f}{line['wall_ms']:>9.2f}{line['times_faster_than_first']:>9.2f}"
        )
    return "\n".join(rows)


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, action="append", default=[], help="an ONNX file with NCHW logits")
    parser.add_argument("--size", action="append", help="WIDTHxHEIGHT of the definitions; may be repeated")
    parser.add_argument("--only", action="append", help="part of a network's name; may be repeated")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--head-size", action="store_true", help="leave the logits at the head's size where possible")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        taking_turns = runners(arguments, Path(folder))
        for index in range(arguments.rounds + 3):
            for runner in taking_turns:
                runner.once(keep=index >= 3)
    lines = [runner.summary(taking_turns[0]) for runner in taking_turns]
    print(table(lines))
    if arguments.json:
        facts = {**machine_facts(), "openvino": openvino.__version__, "torch": torch.__version__}
        report = {
            "machine": facts,
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "head_size": arguments.head_size,
            "networks": lines,
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
