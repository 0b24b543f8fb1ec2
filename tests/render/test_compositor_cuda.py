"""The CUDA compositor against the CPU's painters, effect by effect."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402

from rtseg.errors import ConfigError  # noqa: E402
from rtseg.kernels.picture import DevicePicture, PictureFormat  # noqa: E402
from rtseg.render import compositor_cuda_checks as checks  # noqa: E402
from rtseg.render.compositor_cuda import CudaCompositor  # noqa: E402
from rtseg.render.effects import parse_effects  # noqa: E402
from rtseg.render.hud import HudState  # noqa: E402
from rtseg.render.palette import PERSON_CLASSES, PERSON_PALETTE  # noqa: E402
from rtseg.types import Segmentation  # noqa: E402

MASK_WH = (20, 14)
ODD = PictureFormat((49, 31))
NV12 = PictureFormat((48, 32), "nv12", "bt709")
I420 = PictureFormat((50, 30), "i420", "bt601", True)


def compositor_of(effects, frame, **options):
    return CudaCompositor(
        parse_effects(effects.split("+"), classes=PERSON_CLASSES),
        classes=PERSON_CLASSES,
        palette=PERSON_PALETTE,
        frame=frame,
        mask_wh=MASK_WH,
        is_matte=True,
        device=DEVICE,
        **options,
    )


@pytest.mark.parametrize(("frame", "is_matte"), [(ODD, False), (NV12, True)], ids=["rgb labels", "nv12 matte"])
@pytest.mark.parametrize("effects", checks.EFFECTS)
def test_every_effect_is_the_cpus(effects, frame, is_matte):
    result = checks.check_effects(effects, frame, MASK_WH, is_matte=is_matte, device=DEVICE)
    assert result.passed, result


@pytest.mark.parametrize("effects", ["driving", "outline", "tint"])
def test_another_matrix_range_and_plane_layout(effects):
    assert checks.check_effects(effects, I420, MASK_WH, is_matte=False, device=DEVICE).passed


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 9), (7, 1)], ids=str)
@pytest.mark.parametrize("effects", ["tint", "blur", "cutout"])
def test_frames_of_a_few_pixels(effects, size_wh):
    assert checks.check_effects(effects, PictureFormat(size_wh), (3, 5), is_matte=True, device=DEVICE).passed


def test_a_batch_of_three_is_three_frames():
    assert checks.check_effects("spotlight+blur", NV12, MASK_WH, is_matte=True, batch=3, device=DEVICE).passed


def test_a_mask_much_larger_than_the_frame_is_averaged_within_a_level():
    frame = PictureFormat((24, 16), "nv12")
    for effects in ("replace:#20c040", "blur:strength=1"):
        result = checks.check_effects(effects, frame, (66, 46), is_matte=True, device=DEVICE)
        assert result.worst <= 1


def test_a_mask_of_the_frames_own_size_is_taken_as_it_is():
    assert checks.check_effects("spotlight", NV12, NV12.size_wh, is_matte=True, device=DEVICE).passed


def test_legend_and_hud_are_the_cpus():
    frame = PictureFormat((256, 200), "nv12")
    result = checks.check_effects("driving:outlines=no", frame, MASK_WH, is_matte=False, device=DEVICE)
    assert result.worst == 0


def difference_from_cpu(frame, *, of_device=lambda picture: picture, of_mask=lambda mask: mask):
    """How far the two are apart when the device gets something else than the CPU."""
    picture = checks.random_picture(frame, 0)
    result = checks.random_result(frame.size_wh, MASK_WH, 0, is_matte=True)
    other = Segmentation(PERSON_CLASSES, frame.size_wh, network_alpha=of_mask(result.network_alpha))
    found = checks.composited_on_device("replace:#20c040", [of_device(picture)], [other], frame, device=DEVICE)[0]
    return checks.worst_difference(found, checks.composited_on_cpu("replace:#20c040", picture, result))


def test_a_shifted_mask_or_frame_would_be_seen():
    assert difference_from_cpu(ODD) == 0
    assert difference_from_cpu(ODD, of_mask=lambda mask: np.roll(mask, 1, axis=1)) > 8
    assert difference_from_cpu(ODD, of_device=lambda rgb: np.roll(rgb, 1, axis=0)) > 8


def test_a_wrong_range_would_be_seen(monkeypatch):
    from rtseg.render import compositor_cuda_plan

    exact = compositor_cuda_plan.plane_format_of
    wrong = PictureFormat(NV12.size_wh, "nv12", NV12.matrix, full_range=True)
    monkeypatch.setattr(compositor_cuda_plan, "plane_format_of", lambda frame: exact(wrong))
    assert difference_from_cpu(NV12) > 4


def test_a_matte_in_floats_is_snapped_and_logits_are_scaled_up():
    alpha = torch.linspace(0, 1, MASK_WH[0] * MASK_WH[1], device=DEVICE).view(1, 1, MASK_WH[1], MASK_WH[0]).half()
    frame = checks.device_pictures([checks.random_picture(ODD, 0)], ODD, DEVICE)
    with compositor_of("replace:#20c040", ODD) as compositor:
        first, second = (DevicePicture.empty(ODD, device=DEVICE) for _ in range(2))
        slot = compositor.new_slot()
        slot.composite(frame, alpha, first)
        assert slot.mask.flatten()[[0, 9, -1]].tolist() == [0, 0, 255]
        compositor.composite(frame, slot.mask, second)
        assert torch.equal(first.planes[1], second.planes[1])


def test_a_backdrop_video_follows_the_time(tmp_path):
    path = tmp_path / "wall.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (48, 32))
    for grey in (20, 120, 220):
        writer.write(np.full((32, 48, 3), grey, np.uint8))
    writer.release()
    frame, out = DevicePicture.empty(NV12, device=DEVICE), DevicePicture.empty(NV12, device=DEVICE)
    frame.planes[0].fill_(90)
    with compositor_of(f"replace:{path}", NV12) as compositor:
        slot = compositor.new_slot()
        seen = []
        for seconds in (0.0, 0.05, 0.12, 0.25):
            slot.show(seconds)
            slot.composite(frame, torch.zeros((1, *MASK_WH[::-1]), dtype=torch.uint8, device=DEVICE), out)
            seen.append(int(out.planes[0].float().mean()))
    assert seen[0] == seen[1] < seen[2] - 50 < seen[3] - 100


def test_the_hud_appears_changes_and_goes():
    frame = PictureFormat((256, 64))
    held, out = DevicePicture.empty(frame, device=DEVICE), DevicePicture.empty(frame, device=DEVICE)
    for plane in held.planes:
        plane.fill_(200)
    pictures = []
    with compositor_of("driving:legend=no,outlines=no,opacity=0", frame) as compositor:
        slot = compositor.new_slot()
        mask = torch.zeros((1, *MASK_WH[::-1]), dtype=torch.uint8, device=DEVICE)
        for seconds, hud in ((0.0, HudState(fps=30.0)), (1.0, HudState(fps=31.5)), (2.0, None)):
            slot.show(seconds, hud=hud)
            slot.composite(held, mask, out)
            pictures.append(checks.host_picture(out))
    assert (pictures[0] < 200).any()
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[2] == 200).all()


def test_what_is_not_drawn_on_a_device_is_refused():
    with pytest.raises(ConfigError, match="expected cutout as the last one"):
        compositor_of("cutout+tint", ODD)
    compositor = compositor_of("tint", ODD)
    held = DevicePicture.empty(ODD, device=DEVICE)
    with pytest.raises(ConfigError, match="composite, mask"):
        compositor.composite(held, torch.zeros((1, 3, 3), dtype=torch.uint8, device=DEVICE), held)
    other = DevicePicture.empty(NV12, device=DEVICE)
    with pytest.raises(ConfigError, match="composite, frame"):
        compositor.composite(other, torch.zeros((1, *MASK_WH[::-1]), dtype=torch.uint8, device=DEVICE), held)
