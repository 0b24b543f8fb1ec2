"""Network definitions in torch, each from its paper. Needs the extra `train`."""

from __future__ import annotations

from rtseg.models.nets.bisenetv2 import BiSeNetV2
from rtseg.models.nets.lraspp_mobilenetv3 import LrasppMobileNetV3

__all__ = ["BiSeNetV2", "LrasppMobileNetV3"]
