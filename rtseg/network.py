"""The facts about a network that its bundle states and its backend folds into an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Layout = Literal["NCHW", "NHWC"]
ChannelOrder = Literal["RGB", "BGR"]
OutputKind = Literal["logits", "labels", "probability", "alpha"]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The facts about a network's input and output that a backend folds into its engine (from the bundle's card)."""

    onnx_path: Path
    """The ONNX file."""
    size_wh: tuple[int, int]
    """Input width and height in pixels."""
    class_count: int
    """Number of classes, 2 for a matte."""
    layout: Layout = "NCHW"
    """Memory order of the input tensor."""
    channel_order: ChannelOrder = "RGB"
    """Channel order the network was trained with."""
    scale: float = 1 / 255
    """The byte is multiplied by this first …"""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """… then this is subtracted, in `channel_order` …"""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """… and the rest divided by this, in `channel_order`."""
    output_kind: OutputKind = "logits"
    """logits: a float plane a class; labels: class indices; alpha: one soft matte plane 0..1; probability: of two
    classes, one plane 0..1 (or two, the last is taken) used like an alpha; of more, a plane a class that sums to 1."""
    output_layout: Layout = "NCHW"
    """Memory order of the output tensor."""
    output_name: str | None = None
    """Name of the output to use where the network has several; None: the first."""

    @property
    def is_matte(self) -> bool:
        """True where the engine gives a soft matte instead of labels."""
        return self.output_kind == "alpha" or (self.output_kind == "probability" and self.class_count <= 2)
