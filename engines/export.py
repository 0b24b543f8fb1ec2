"""Turn a checkpoint's averaged weights into a bundle: `model.onnx` (fp16 storage), `model.toml`, `weights.safetensors`.

    python engines/export.py street --checkpoint RUN/street/last.pt [--scores scores.json]

The graph computes in fp32: each weight is stored as fp16 and cast once, which every runtime folds at load.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from cards import card_text
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rtseg.models.nets.blocks import folded

OPSET = 17
LARGEST_BYTES = 6 * 1024 * 1024


class AlphaOutput(nn.Module):
    """The network with the sigmoid that makes its logit an alpha."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return alpha [N, 1, H, W] in 0..1."""
        return torch.sigmoid(self.network(image))


def deployable(kind: str, averaged: dict[str, Tensor]) -> tuple[nn.Module, tuple[int, int], str]:
    """Return the folded network in eval mode, its input size (w, h) and the name of its output."""
    if kind == "street":
        import train_street

        network: nn.Module = train_street.build(full_size=True)
        network.load_state_dict(averaged)
        network.auxiliary = nn.ModuleList()
        return folded(network), train_street.DEPLOY_WH, "logits"
    import train_person

    network = train_person.build()
    network.load_state_dict(averaged)
    return AlphaOutput(folded(network)).eval(), train_person.INPUT_WH, "alpha"


def write_onnx(network: nn.Module, size_wh: tuple[int, int], output: str, path: Path) -> None:
    """Write the network as ONNX with batch 1 and static size."""
    example = torch.zeros(1, 3, size_wh[1], size_wh[0])
    torch.onnx.export(
        network, (example,), str(path), opset_version=OPSET, input_names=["image"], output_names=[output], dynamo=False
    )  # fmt: skip
    model = onnx.load(path)
    store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path} is {path.stat().st_size} bytes; expected at most {LARGEST_BYTES}")


def store_half(model: onnx.ModelProto) -> None:
    """Store every weight of more than 64 numbers as fp16 followed by a cast to fp32, in place."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size <= 64:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def disagreement(network: nn.Module, size_wh: tuple[int, int], path: Path, seed: int = 3) -> dict[str, float]:
    """Return the largest output difference to torch, relative to the output's range, of each runtime in fp32."""
    import onnxruntime
    import openvino

    rng = np.random.default_rng(seed)
    batch = rng.normal(0, 1.2, (1, 3, size_wh[1], size_wh[0])).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch)).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = {"onnxruntime": session.run(None, {"image": batch})[0], "openvino": np.asarray(compiled(batch)[0])}
    span = float(expected.max() - expected.min())
    return {name: float(np.abs(value - expected).max()) / span for name, value in found.items()}


def save_weights(averaged: dict[str, Tensor], path: Path) -> None:
    """Write the averaged weights as fp16 safetensors, with which the next training starts warm."""
    from safetensors.torch import save_file

    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in averaged.items()}
    save_file(half, path)


def main() -> None:
    """Export and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("street", "person"))
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--scores", type=Path, help="JSON printed by score.py")
    parser.add_argument("--folder", type=Path, help="bundle folder; default engines/KIND")
    parser.add_argument("--synthetic-frames", type=int, default=0, help="rendered frames trained on, for the card")
    options = parser.parse_args()
    state: dict[str, Any] = torch.load(options.checkpoint, weights_only=True)
    folder = options.folder or Path(__file__).parent / options.kind
    folder.mkdir(parents=True, exist_ok=True)
    network, size_wh, output = deployable(options.kind, state["average"])
    path = folder / "model.onnx"
    write_onnx(network, size_wh, output, path)
    save_weights(state["average"], folder / "weights.safetensors")
    scores = json.loads(options.scores.read_text()) if options.scores else {}
    images, minutes = int(state["counters"][1]), state["counters"][2] / 60
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    today = datetime.date.today().isoformat()
    text = card_text(options.kind, digest, today, images, minutes, scores, options.synthetic_frames)
    (folder / "model.toml").write_text(text)
    print(json.dumps({"bytes": path.stat().st_size, "images": images, **disagreement(network, size_wh, path)}))


if __name__ == "__main__":
    main()
