"""Temporal smoothing on the device against the CPU's: the same bytes, frame after frame, over jumps and cuts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402

from rtseg.cuda.stream_memory import MemoryBuffers, Postprocess, StreamMemory, change_spec  # noqa: E402
from rtseg.kernels import steady  # noqa: E402
from rtseg.kernels.picture import DevicePicture, PictureFormat  # noqa: E402
from rtseg.postprocess.change import PictureChange, Sensitivity  # noqa: E402
from rtseg.postprocess.temporal import AlphaSmoother, LabelSmoother  # noqa: E402

CUT_AT, JUMP_AT = 4, 6


def frames_of(size_wh, *, is_matte, count=8):
    """Yield time, luma and mask of a noisy, partly moving stream with a cut and a jump in time."""
    rng = np.random.default_rng(7)
    width, height = size_wh
    top = 256 if is_matte else 5
    ground = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1), np.uint8).repeat(6, 0).repeat(6, 1)
    masks = rng.integers(0, top, (height // 5 + 1, width // 5 + 1), np.uint8).repeat(5, 0).repeat(5, 1)
    seconds = 0.0
    for index in range(count):
        luma = ground[:height, :width].astype(int) + rng.integers(-2, 3, (height, width)) + (4 if index > 2 else 0)
        luma[:, : width // 3] = np.roll(luma[:, : width // 3], 2 * index, 1)
        if index == CUT_AT:
            luma = rng.integers(0, 256, luma.shape)
        mask = masks[:height, :width].copy()
        flipped = rng.random(mask.shape) < 0.2
        mask[flipped] = rng.integers(0, top, int(flipped.sum()))
        seconds += 0.9 if index == JUMP_AT else 1 / 30
        yield seconds, np.clip(luma, 0, 255).astype(np.uint8), mask


class OnDevice:
    """One stream on the device, its frames one after the other."""

    def __init__(self, size_wh, *, is_matte):
        held, device = PictureFormat(size_wh), torch.device(DEVICE)
        self._memory = StreamMemory(Postprocess(smooths=True), size_wh, held, is_matte=is_matte, device=device)
        self._buffers = MemoryBuffers(size_wh, device)
        self._picture = DevicePicture.empty(held, device=device)
        self._out = torch.zeros_like(self._buffers.luma)

    def smooth(self, mask, luma, seconds, *, again=False):
        self._buffers.params.copy_(torch.from_numpy(self._memory.params_of(seconds, again=again)))
        self._buffers.luma.copy_(torch.from_numpy(luma))
        self._memory.run(self._buffers, torch.from_numpy(mask)[None].to(DEVICE), self._picture, self._out)
        return self._out[0].cpu().numpy().copy()


@pytest.mark.parametrize("size_wh", [(37, 23), (1, 1)], ids=str)
@pytest.mark.parametrize("is_matte", [True, False], ids=["matte", "labels"])
def test_what_is_shown_is_what_the_cpu_shows(size_wh, is_matte):
    cpu, device = (AlphaSmoother() if is_matte else LabelSmoother()), OnDevice(size_wh, is_matte=is_matte)
    steadied = 0
    for seconds, luma, mask in frames_of(size_wh, is_matte=is_matte, count=8 if size_wh[0] > 1 else 3):
        expected = cpu.smooth(mask.copy(), luma, seconds)
        np.testing.assert_array_equal(device.smooth(mask, luma, seconds), expected)
        steadied += int((expected != mask).sum())
    assert steadied > 500 or size_wh == (1, 1)  # it is not just handed through


def test_a_frame_out_of_its_order_is_shown_as_it_is_and_the_next_one_starts_afresh():
    device = OnDevice((16, 12), is_matte=True)
    frames = list(frames_of((16, 12), is_matte=True, count=4))
    for seconds, luma, mask in frames[:2]:
        device.smooth(mask, luma, seconds)
    seconds, luma, mask = frames[0]
    np.testing.assert_array_equal(device.smooth(mask, luma, seconds, again=True), mask)
    seconds, luma, mask = frames[2]
    np.testing.assert_array_equal(device.smooth(mask, luma, seconds), mask)
    cpu = AlphaSmoother()
    cpu.smooth(mask.copy(), luma, seconds)
    seconds, luma, mask = frames[3]
    np.testing.assert_array_equal(device.smooth(mask, luma, seconds), cpu.smooth(mask.copy(), luma, seconds))


@pytest.mark.parametrize("shape", [(20, 24), (17, 13), (8, 3)])
def test_light_and_noise_are_ranked_exactly(shape):
    rng = np.random.default_rng(3)
    wanted = PictureChange()
    lumas = [rng.integers(0, 256, shape, np.uint8) for _ in range(2)]
    lumas[1][::2] = lumas[0][::2]
    moved = [wanted.moved(luma, 1 / 30) for luma in lumas][1]
    found = steady._Change(shape[::-1], change_spec(Sensitivity()), torch.device(DEVICE))
    for mode, luma in zip((steady.RESTART, steady.GO_ON), lumas, strict=True):
        found.find(torch.from_numpy(luma)[None].to(DEVICE), torch.from_numpy(steady.frame_params(mode)).to(DEVICE))
    light, still = found.found[0].cpu().numpy()
    difference = found.difference[0].cpu().numpy()
    if moved is not None:
        again = np.clip((np.abs(difference - light) - still) * np.float32(1 / 4.5), 0, 1)
        np.testing.assert_allclose(again, moved, atol=1e-6)
    sample = difference[::4, ::4].ravel()
    assert light == np.median(sample)
