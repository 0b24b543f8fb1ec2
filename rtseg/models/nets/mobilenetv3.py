"""MobileNetV3 as the classifier of its paper, large and small: for pretraining, and to hold the body's size to it.

Source: Andrew Howard, Mark Sandler, Grace Chu, Liang-Chieh Chen, Bo Chen, Mingxing Tan, Weijun Wang, Yukun Zhu,
Ruoming Pang, Vijay Vasudevan, Quoc V. Le, Hartwig Adam, "Searching for MobileNetV3", 2019, arXiv 1905.02244.
"""

from __future__ import annotations

from torch import Tensor, nn

from rtseg.models.nets.blocks import folded, initialise, scaled
from rtseg.models.nets.lraspp_mobilenetv3 import MobileNetV3, Variant

HIDDEN_CHANNELS: dict[Variant, int] = {"large": 1280, "small": 1024}


class MobileNetV3Classifier(nn.Module):
    """The body at 1/32, its mean, and two fully connected layers.

    `body` is the one that `LrasppMobileNetV3` has, save for its last stride and its full tail: weights pretrained
    here load there with `reduced_tail=False`.

    Args:
        variant: "large" or "small".
        classes: output classes.
        width: multiplies the body's channels, and the hidden layer's where it is over 1.
        dropout: share of the hidden features that training drops.
    """

    def __init__(
        self, variant: Variant = "large", classes: int = 1000, width: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.body = MobileNetV3(variant, width, reduced_tail=False, last_stride=32)
        hidden = scaled(HIDDEN_CHANNELS[variant], max(1.0, width))
        self.head = nn.Sequential(
            nn.Linear(self.body.tap_channels[3], hidden),
            nn.Hardswish(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
        initialise(self)

    def forward(self, batch_nchw: Tensor) -> Tensor:
        """Return class logits [N, classes].

        Args:
            batch_nchw: float [N, 3, H, W], RGB, normalised.
        """
        logits: Tensor = self.head(self.body(batch_nchw)[3].mean(dim=(2, 3)))
        return logits

    def deploy(self) -> nn.Module:
        """Return a copy for export: eval mode, batch norms folded; the outputs agree."""
        return folded(self)
