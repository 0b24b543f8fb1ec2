"""Part 1, continued: smoothing over time and refinement of edges against the CPU."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from benchmarks.gpu.setting import Setting
from rtseg.cuda.frame_path import fill
from rtseg.cuda.stream_memory import EDGES, MemoryBuffers, Postprocess, StreamMemory
from rtseg.kernels.edges import EdgeRefiner
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.postprocess.edges import refine_alpha
from rtseg.postprocess.temporal import AlphaSmoother, LabelSmoother
from rtseg.preprocess import luma_of
from rtseg.types import Picture, UInt8Array, Yuv420


def smoothing_difference(setting: Setting, is_matte: bool) -> int:
    """Masks of a moving picture, frame after frame, with the memory of the frames before; in levels or classes."""
    mask_wh = (24, 16) if setting.dry else (256, 256)
    held = PictureFormat(mask_wh)
    memory = StreamMemory(Postprocess(smooths=True), mask_wh, held, is_matte=is_matte, device=setting.device)
    buffers, picture = MemoryBuffers(mask_wh, setting.device), DevicePicture.empty(held, device=setting.device)
    out = torch.zeros_like(buffers.luma)
    cpu = AlphaSmoother() if is_matte else LabelSmoother()
    rng, worst = np.random.default_rng(3), 0
    ground = rng.integers(0, 240, (mask_wh[1], mask_wh[0]), np.uint8)
    masks = rng.integers(0, 256 if is_matte else 9, ground.shape, np.uint8)
    for index in range(3 if setting.dry else 12):
        luma = ground + rng.integers(0, 4, ground.shape, np.uint8)
        luma[:, : mask_wh[0] // 3] = np.roll(luma[:, : mask_wh[0] // 3], index, 1)
        mask = np.where(rng.random(masks.shape) < 0.2, np.roll(masks, index, 0), masks)
        buffers.params.copy_(torch.from_numpy(memory.params_of(index / 30)))
        buffers.luma.copy_(torch.from_numpy(luma))
        memory.run(buffers, torch.from_numpy(mask)[None].to(setting.device), picture, out)
        worst = max(worst, _worst(out, cpu.smooth(mask.copy(), luma, index / 30)))
    return worst


def edges_difference(setting: Setting, held: PictureFormat) -> int:
    """A coarse matte of bright blocks, its edges refined on the frame."""
    mask_wh = (24, 16) if setting.dry else (256, 256)
    cells = np.random.default_rng(4).integers(0, 2, (mask_wh[1] // 8, mask_wh[0] // 8), np.uint8)
    blocks = np.kron(cells, np.full((8, 8), 255, np.uint8))
    alpha = np.asarray(cv2.blur(blocks, (3, 3)), np.uint8)
    grey = _grey(np.asarray(cv2.resize(blocks, held.size_wh) // 2 + 40, np.uint8), held)
    luma = luma_of(grey)
    small = np.asarray(cv2.resize(luma, mask_wh, interpolation=cv2.INTER_AREA), np.uint8)
    flat = np.zeros((1, held.byte_count), np.uint8)
    fill(flat, grey)
    refiner = EdgeRefiner(mask_wh, held, EDGES, device=setting.device)
    out = refiner.empty_matte()
    planes = [torch.from_numpy(plane)[None].to(setting.device) for plane in (alpha, small)]
    refiner(*planes, DevicePicture.of_bytes(torch.from_numpy(flat).to(setting.device), held), out)
    return _worst(out, refine_alpha(alpha, small, luma))


def _grey(luma: UInt8Array, held: PictureFormat) -> Picture:
    if not held.is_yuv:
        return np.repeat(luma[..., None], 3, 2)
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return Yuv420(luma, chroma, chroma, matrix="bt709")


def _worst(found: torch.Tensor, expected: UInt8Array) -> int:
    return int(np.abs(found[0].cpu().numpy().astype(int) - expected).max())
