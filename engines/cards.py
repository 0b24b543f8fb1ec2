"""The text of the cards (`model.toml`) of the shipped bundles."""

from __future__ import annotations

import json
from typing import Any

from taxonomy import STREET_CLASSES, STREET_PALETTE

VERSION = "0.1.0"

STREET: dict[str, Any] = {
    "task": "semantic",
    "description": "Road scenes into the 19 Cityscapes train classes; a BiSeNetV2 of half width with a fine head.",
    "licence": "Non-commercial research use: the training data (CC BY-NC 4.0 and research-only) binds the weights.",
    "intended_use": "Showing and measuring real-time segmentation on dashcam-like footage. Not for driving decisions.",
    "limits": "A first, short training from scratch on few pictures: thin objects, rare classes (truck, bus, train, "
    "wall, fence), night and rain are weak; truck, bus and train are learnt from a teacher and synthetic frames only.",
    "size_wh": (704, 352),
    "kind": "logits",
    "names": STREET_CLASSES,
    "palette": STREET_PALETTE,
    "effect": "driving",
    "sources": [
        ("CamVid train, SegNet split, 11 classes", 367, "CC BY-NC 4.0"),
        ("IDD-Lite train without the hashed tenth, 7 classes", 1260, "research"),
        ("IDD-Lite unlabelled, labelled by FDDWNet where it was sure", 404, "research; FDDWNet: Apache-2.0 or MIT"),
        ("FDDWNet (Cityscapes) splits coarse labels of the frames above into fine classes", 0, "Apache-2.0 or MIT"),
    ],
    "synthetic": ("rtseg synthetic street scene", "Apache-2.0, generated"),
}
PERSON: dict[str, Any] = {
    "task": "matte",
    "description": "Soft matte of the people in a picture; MobileNetV3-large with a lite ASPP and a fine head.",
    "licence": "Non-commercial research use: part of the training data is research-only or states no licence.",
    "intended_use": "Background blur, replacement and cut-out on webcam-like and half- to full-body footage.",
    "limits": "A first, short training from scratch on few pictures: hair is coarse, unusual poses, sports, crowds, "
    "small and far people are weak, and things held in the hand may be taken in or left out.",
    "size_wh": (256, 256),
    "kind": "alpha",
    "names": ("background", "person"),
    "palette": ("#000000", "#dc143c"),
    "effect": "blur",
    "sources": [
        ("portraits train without the hashed tenth", 1180, "not stated"),
        ("fashion train without the hashed tenth", 826, "Apache-2.0"),
        ("people290 train", 290, "not stated"),
        ("PennFudan train", 130, "research"),
        ("rooms, as backgrounds and as empty scenes", 200, "research"),
    ],
    "synthetic": ("rtseg synthetic desk scene", "Apache-2.0, generated"),
}


def quoted(value: str) -> str:
    """Return a TOML basic string."""
    return json.dumps(value, ensure_ascii=False)


def card_text(
    kind: str, digest: str, date: str, images: int, minutes: float, scores: dict[str, Any], synthetic_frames: int = 0
) -> str:
    """Return the card of a bundle.

    Args:
        kind: "street" or "person".
        digest: sha256 of the ONNX file.
        date: of the export.
        images: samples seen in training.
        minutes: training time.
        scores: numbers and protocol strings, written as they are under [scores].
        synthetic_frames: how many rendered frames were trained on; 0 leaves the scene out of the sources.
    """
    facts = STREET if kind == "street" else PERSON
    width, height = facts["size_wh"]
    sources = list(facts["sources"])
    if synthetic_frames:
        sources.append((facts["synthetic"][0], synthetic_frames, facts["synthetic"][1]))
    lines = [
        "[model]", f"name = {quoted(kind)}", f"version = {quoted(VERSION)}", f"task = {quoted(facts['task'])}",
        *(f"{key} = {quoted(facts[key])}" for key in ("description", "licence", "intended_use", "limits")),
        "", "[files]", 'onnx = "model.onnx"', f"sha256 = {quoted(digest)}",
        "", "[input]", f"size_wh = [{width}, {height}]", 'layout = "NCHW"', 'channel_order = "RGB"',
        "scale = 0.00392156862745098", "mean = [0.485, 0.456, 0.406]", "std = [0.229, 0.224, 0.225]",
        "", "[output]", f"kind = {quoted(facts['kind'])}", 'layout = "NCHW"',
        "", "[classes]", _array("names", facts["names"]), _array("palette", facts["palette"]),
        "", "[defaults]", f"effect = {quoted(facts['effect'])}",
        "", "[training]", f'recipe = "engines/train_{kind}.py"', f"date = {quoted(date)}",
        f"samples_seen = {images}", f"minutes_on_one_busy_core = {minutes:.0f}", "sources = [",
        *(f"  {{ name = {quoted(n)}, pairs = {p}, licence = {quoted(c)} }}," for n, p, c in sources), "]",
        "", "[scores]", *(f"{key} = {_value(value)}" for key, value in scores.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _array(key: str, values: tuple[str, ...]) -> str:
    rows = [values[i : i + 6] for i in range(0, len(values), 6)]
    return "\n".join([f"{key} = [", *("  " + " ".join(f"{quoted(v)}," for v in row) for row in rows), "]"])


def _value(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)
