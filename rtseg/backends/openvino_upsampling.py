"""Labels of class planes that a network scales up as its last step, without the scaled-up planes.

Note [Argmax in phases]
    Scaled up by a whole factor s with half-pixel centres, every output pixel is a mix of at most 2x2 input pixels, and
    its weights depend only on its place within its s x s block. So the output is s * s pictures of the input's size,
    interleaved, and each of them is one depthwise 2x2 convolution: the argmax is taken in each, and only bytes are
    interleaved. Beyond its border the input is taken as zero instead of repeated. That scales all classes of a border
    pixel by the same positive share, which moves no argmax: weights (1 - o, o) on a border pixel repeated give 1 times
    that pixel, with a zero (1 - o) times.
    Measured on one core, 19 planes from 320x160 to 640x320: scaled up first 7.2 ms, in phases 3.5 ms, since planes
    are turned from interleaved to separate at a quarter of the bytes and every convolution works on whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rtseg.types import FloatArray

MOST_TIMES: Final = 4
"""Up to this factor; there are as many convolutions as its square."""
_LINEAR_MODES: Final = frozenset({"linear", "linear_onnx"})
_HALF_PIXEL: Final = frozenset({"half_pixel", "pytorch_half_pixel"})


def argmax_before_upsampling(op: Any, output: Any, axis: int | None, argmax: Callable[[Any], Any]) -> Any | None:
    """Return the labels [1, 1, h, w] of planes that were scaled up linearly by a whole factor; None for all others.

    Args:
        op: OpenVINO's operations.
        output: the planes [1, K, h, w].
        axis: where the classes are; only 1 has this form.
        argmax: gives the labels uint8 [1, 1, h, w] of planes [1, K, h, w].
    """
    times = _whole_factor(output) if axis == 1 else None
    if times is None:
        return None
    small = output.get_node().input_value(0)
    phases = [argmax(_phase(op, small, row, column)) for row in tap_weights(times) for column in tap_weights(times)]
    return op.depth_to_space(op.concat(phases, 1), "blocks_first", times)


def tap_weights(times: int) -> list[tuple[int, FloatArray]]:
    """Return, for every place in a block, whether the first tap lies one pixel before, and the weights float32 [2]."""
    found = []
    for place in range(times):
        offset = (place + 0.5) / times - 0.5
        before = offset < 0
        weights = (-offset, 1 + offset) if before else (1 - offset, offset)
        found.append((int(before), np.array(weights, np.float32)))
    return found


def _phase(op: Any, small: Any, row: tuple[int, FloatArray], column: tuple[int, FloatArray]) -> Any:
    """Return the output pixels of one place in all blocks, [1, K, h, w] of the input's size."""
    planes = int(small.get_shape()[1])
    kernel = np.broadcast_to(np.outer(row[1], column[1]), (planes, 1, 1, 2, 2))
    before = [row[0], column[0]]
    after = [1 - row[0], 1 - column[0]]
    return op.group_convolution(small, op.constant(np.ascontiguousarray(kernel)), [1, 1], before, after, [1, 1])


def _whole_factor(output: Any) -> int | None:
    """Return how many times the planes were scaled up, None where not linearly by a whole factor."""
    node = output.get_node()
    if node.get_type_name() != "Interpolate" or node.input_value(0).partial_shape.is_dynamic:
        return None
    how = node.get_attributes()
    if how.get("mode") not in _LINEAR_MODES or how.get("coordinate_transformation_mode") not in _HALF_PIXEL:
        return None
    if how.get("antialias") or any(how.get("pads_begin", ())) or any(how.get("pads_end", ())):
        return None
    small, large = ([int(side) for side in port.get_shape()] for port in (node.input_value(0), output))
    if len(small) != 4 or small[:2] != large[:2] or min(small[2:]) < 2:
        return None
    times = large[2] // small[2]
    whole = large[2:] == [side * times for side in small[2:]]
    return times if whole and 2 <= times <= MOST_TIMES else None
