"""What is remembered of one stream on the device, and what the host tells the kernels of each of its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from rtseg.kernels import steady
from rtseg.kernels.edges import EdgeRefiner, EdgeSpec
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.steady import ChangeSpec
from rtseg.postprocess import change, edges, temporal
from rtseg.postprocess.backlash import play_table
from rtseg.postprocess.change import Sensitivity
from rtseg.types import FloatArray

EDGES: Final = EdgeSpec(
    radius_px=edges.RADIUS_PX,
    edge_levels=edges.EDGE_LEVELS,
    noise_levels=edges.NOISE_LEVELS,
    trust_from=float(edges.TRUST_FROM),
    trust_rise=float(edges.TRUST_RISE),
    crispness=edges.CRISPNESS,
)
"""How edges are refined on the CPU."""


def change_spec(sensitivity: Sensitivity) -> ChangeSpec:
    """Return how changes are looked for on the CPU."""
    return ChangeSpec(
        window_px=sensitivity.window_px,
        reach_px=sensitivity.reach_px,
        still_levels=sensitivity.still_levels,
        moving_levels=sensitivity.moving_levels,
        noise_margin=change.NOISE_MARGIN,
        calmest_tenth=change.CALMEST_TENTH,
        noisiest_levels=change.NOISIEST_LEVELS,
        sampled_px=change.SAMPLED_PX,
        cut_share=change.CUT_SHARE,
    )


@dataclass(frozen=True, slots=True)
class Postprocess:
    """What is done with the masks of a stream, besides snapping."""

    smooths: bool = False
    """Steady them over time."""
    refines_edges: bool = False
    """Refine a matte's edges on the frame."""

    def __bool__(self) -> bool:
        return self.smooths or self.refines_edges


class StreamMemory:
    """The planes that all frames of one stream share, and the kernels on them.

    See Note [The memory of a stream on the device].
    Threading: `params_of` is called for the frames in their order, by one thread; `run` is queued on one stream in the
    same order.
    """

    def __init__(
        self,
        asked: Postprocess,
        mask_wh: tuple[int, int],
        frame: PictureFormat,
        *,
        is_matte: bool,
        device: torch.device,
    ) -> None:
        """Reserve what is remembered.

        Args:
            asked: what is to be done.
            mask_wh: width and height of the network's masks.
            frame: the format of frames.
            is_matte: masks are mattes, not labels.
            device: where everything is.

        Raises:
            ConfigError: edges of frames that are far smaller than the mask.
        """
        self._smoother = _smoother(mask_wh, is_matte=is_matte, device=device) if asked.smooths else None
        self._refiner: EdgeRefiner | None = None
        if asked.refines_edges and is_matte:
            play = play_table(temporal.EDGE_PLAY_LEVELS) if asked.smooths else None
            self._refiner = EdgeRefiner(mask_wh, frame, EDGES, play=play, device=device)
        self.mask_wh = mask_wh if self._refiner is None else frame.size_wh
        """Width and height of the masks that come out."""
        self._clock = change.Clock()
        self._afresh = True
        self._gains: tuple[float, FloatArray] | None = None

    def params_of(self, pts_seconds: float | None, *, again: bool = False) -> FloatArray:
        """Return what the kernels are told of a frame, float32 [PARAM_COUNT].

        Args:
            pts_seconds: its time.
            again: it has failed before and is tried again, after its successors: it is shown as it is, and since
                nobody knows what it left behind, the next new frame starts afresh.
        """
        if again:
            self._afresh = True
            return steady.frame_params(steady.ALONE)
        passed_seconds = self._clock.passed_seconds(pts_seconds)
        afresh, self._afresh = self._afresh or passed_seconds is None, False
        known_seconds = passed_seconds or change.USUAL_FRAME_SECONDS
        return steady.frame_params(
            steady.RESTART if afresh else steady.GO_ON,
            change_gain=float(change.gain_of(known_seconds, Sensitivity().settling_seconds)),
            frames_enough=min(255, max(2, math.ceil(temporal.PERSISTENCE_SECONDS / known_seconds))),
            gains=self._gains_of(known_seconds),
        )

    def run(self, buffers: MemoryBuffers, mask: Tensor, picture: DevicePicture, out: Tensor) -> None:
        """Queue what is done with a mask.

        Args:
            buffers: of the frame's slot, its luma filled in.
            mask: of the network, uint8 [1, h, w].
            picture: the frame.
            out: what is shown, uint8 [1, H, W] of `mask_wh`.
        """
        steadied = mask
        if self._smoother is not None:
            steadied = out if self._refiner is None else buffers.steadied
            self._smoother(mask, buffers.luma, buffers.params, steadied)
        if self._refiner is not None:
            still = self._smoother.still if isinstance(self._smoother, steady.MatteSmoother) else None
            params = None if still is None else buffers.params
            self._refiner(steadied, buffers.luma, picture, out, still=still, params=params)

    def _gains_of(self, passed_seconds: float) -> FloatArray:
        """Return what a matte's kernels are told of the time that has passed; frames mostly come evenly."""
        if self._gains is None or self._gains[0] != passed_seconds:
            self._gains = passed_seconds, temporal.gains_of(passed_seconds)
        return self._gains[1]


class MemoryBuffers:
    """What a frame in a slot needs of its own, beside the stream's memory."""

    def __init__(self, mask_wh: tuple[int, int], device: torch.device) -> None:
        width, height = mask_wh
        self.luma = torch.zeros((1, height, width), dtype=torch.uint8, device=device)
        """Of the frame, at the size of the network's mask."""
        self.steadied = torch.zeros_like(self.luma)
        """The mask between smoothing and refinement."""
        self.params = torch.from_numpy(np.zeros(steady.PARAM_COUNT, np.float32)).to(device)
        """What the host tells of the frame; copied in with it."""


def _smoother(
    mask_wh: tuple[int, int], *, is_matte: bool, device: torch.device
) -> steady.MatteSmoother | steady.LabelSmoother:
    if is_matte:
        play = play_table(temporal.PLAY_LEVELS)
        return steady.MatteSmoother(mask_wh, change_spec(Sensitivity()), play, device=device)
    return steady.LabelSmoother(mask_wh, change_spec(temporal.LABEL_SENSITIVITY), device=device)
