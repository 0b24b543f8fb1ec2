"""Edge refinement on the device against the CPU's: odd sizes, single pixels, both kinds of frames, with backlash."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402

from rtseg.cuda.stream_memory import EDGES  # noqa: E402
from rtseg.errors import ConfigError  # noqa: E402
from rtseg.kernels.edges import EdgeRefiner  # noqa: E402
from rtseg.kernels.picture import DevicePicture, PictureFormat  # noqa: E402
from rtseg.kernels.steady import ALONE, GO_ON, frame_params  # noqa: E402
from rtseg.kernels.tables import mirrored_places  # noqa: E402
from rtseg.postprocess.backlash import Backlash, play_table  # noqa: E402
from rtseg.postprocess.edges import refine_alpha  # noqa: E402
from rtseg.postprocess.temporal import EDGE_PLAY_LEVELS  # noqa: E402
from rtseg.preprocess import luma_of  # noqa: E402


def scene(size_wh, mask_wh, seed=0):
    """A bright disc on a textured ground, rgb uint8 [H, W, 3], and a soft, trembling matte of it uint8 [h, w]."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2) - min(size_wh) * 0.3
    inside = (distance < 0)[..., None]
    rgb = np.where(inside, (220, 180, 150), (40, 70, 60)) + rng.integers(-12, 13, (height, width, 3))
    soft = np.clip(127.5 - distance * 12, 0, 255).astype(np.float32)
    matte = cv2.resize(soft, mask_wh, interpolation=cv2.INTER_AREA) + rng.integers(-9, 10, mask_wh[::-1])
    return np.clip(rgb, 0, 255).astype(np.uint8), np.clip(matte, 0, 255).astype(np.uint8)


def on_device(plane):
    return torch.from_numpy(np.ascontiguousarray(plane))[None].to(DEVICE)


def refined(refiner, alpha, small, rgb, **memory):
    out = refiner.empty_matte()
    refiner(on_device(alpha), on_device(small), DevicePicture.of_rgb(torch.from_numpy(rgb).to(DEVICE)), out, **memory)
    return out[0].cpu().numpy()


def small_luma(luma, mask_wh):
    return cv2.resize(luma, mask_wh, interpolation=cv2.INTER_AREA)


def worst(found, expected):
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize(
    ("size_wh", "mask_wh"), [((67, 45), (33, 21)), ((33, 21), (33, 21)), ((20, 30), (31, 23)), ((9, 1), (5, 1)),
                             ((1, 1), (1, 1))], ids=str
)  # fmt: skip
def test_a_refined_matte_is_the_cpus(size_wh, mask_wh):
    rgb, alpha = scene(size_wh, mask_wh)
    small = small_luma(luma_of(rgb), mask_wh)
    found = refined(EdgeRefiner(mask_wh, PictureFormat(size_wh), EDGES, device=DEVICE), alpha, small, rgb)
    expected = refine_alpha(alpha, small, luma_of(rgb))
    assert worst(found, expected) <= 1
    if min(size_wh) > 40:
        assert worst(found, cv2.resize(alpha, size_wh)) > 20  # it is not just scaled


def test_a_matte_without_a_border_is_scaled():
    rgb, _ = scene((40, 30), (20, 14))
    flat = np.full((14, 20), 90, np.uint8)
    found = refined(
        EdgeRefiner((20, 14), PictureFormat((40, 30)), EDGES, device=DEVICE),
        flat,
        small_luma(luma_of(rgb), (20, 14)),
        rgb,
    )
    assert worst(found, np.full((30, 40), 90)) == 0


@pytest.mark.parametrize("layout", ["i420", "nv12"])
def test_planes_give_their_own_luma(layout):
    rgb, alpha = scene((48, 32), (24, 16))
    luma = luma_of(rgb)
    held = PictureFormat((48, 32), layout, "bt709")
    flat = np.concatenate([luma.ravel(), np.full(48 * 32 // 2, 128, np.uint8)])[None]
    refiner = EdgeRefiner((24, 16), held, EDGES, device=DEVICE)
    out, small = refiner.empty_matte(), small_luma(luma, (24, 16))
    picture = DevicePicture.of_bytes(torch.from_numpy(flat).to(DEVICE), held)
    refiner(on_device(alpha), on_device(small), picture, out)
    assert worst(out[0].cpu().numpy(), refine_alpha(alpha, small, luma)) <= 1


def test_what_is_shown_follows_with_backlash_and_a_frame_alone_leaves_nothing_behind():
    size_wh, mask_wh = (46, 30), (23, 15)
    refiner = EdgeRefiner(
        mask_wh, PictureFormat(size_wh), EDGES, play=play_table(EDGE_PLAY_LEVELS), device=DEVICE
    )  # fmt: skip
    cpu = Backlash(EDGE_PLAY_LEVELS)
    go_on, alone = (torch.from_numpy(frame_params(mode)).to(DEVICE) for mode in (GO_ON, ALONE))
    for index in range(4):
        rgb, alpha = scene(size_wh, mask_wh, seed=index)
        small = small_luma(luma_of(rgb), mask_wh)
        still = np.full(mask_wh[::-1], 0 if index == 0 else 200, np.uint8)
        sharp = refine_alpha(alpha, small, luma_of(rgb))
        if index == 2:
            found = refined(refiner, alpha, small, rgb, still=on_device(np.zeros_like(still)), params=alone)
            assert worst(found, sharp) <= 1
        found = refined(refiner, alpha, small, rgb, still=on_device(still), params=go_on)
        expected = cpu.follow(sharp, None if index == 0 else still)
        assert worst(found, expected) <= 1
        assert index == 0 or worst(expected, sharp) > 5  # the backlash does something


def test_frames_far_smaller_than_the_matte_are_refused():
    with pytest.raises(ConfigError, match="--no-edges"):
        EdgeRefiner((64, 64), PictureFormat((20, 20)), EDGES, device=DEVICE)


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_places_beyond_the_border_are_opencvs(length):
    wanted = [cv2.borderInterpolate(place, length, cv2.BORDER_REFLECT_101) for place in range(-4, length + 4)]
    assert mirrored_places(length, 4).tolist() == wanted
