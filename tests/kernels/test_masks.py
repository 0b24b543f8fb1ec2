"""Labels, mattes and shares on the device against torch and against the segmenter's own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402

from rtseg import segmenter  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError  # noqa: E402
from rtseg.kernels import launch  # noqa: E402
from rtseg.kernels.masks import AlphaBytes, Labels, count_classes, shares_of  # noqa: E402
from rtseg.kernels.picture import PictureFormat  # noqa: E402
from rtseg.matte import SNAP  # noqa: E402
from rtseg.render.compositor_cuda_checks import check_alpha, check_labels, check_rgb, random_result  # noqa: E402


@pytest.mark.parametrize("logits_wh", [(20, 14), (5, 4), (1, 1)], ids=str)
def test_labels_are_those_of_the_largest_logit(logits_wh):
    assert check_labels(logits_wh, (20, 14), device=DEVICE).passed


def test_labels_of_equal_logits_are_the_first_and_any_strides_will_do():
    logits = torch.zeros((1, 14, 20, 5), device=DEVICE).permute(0, 3, 1, 2)
    found = torch.full((1, 14, 20), 9, dtype=torch.uint8, device=DEVICE)
    Labels((20, 14), (20, 14), 5, device=DEVICE)(logits, found)
    assert not found.any()
    logits[:, 3, 2, 7] = 1
    Labels((20, 14), (20, 14), 5, device=DEVICE)(logits, found)
    assert found.nonzero().tolist() == [[0, 2, 7]]
    assert found[0, 2, 7] == 3


def test_bytes_of_a_matte_are_the_segmenters():
    assert check_alpha((20, 14), device=DEVICE).worst == 0
    alpha = torch.arange(256, device=DEVICE).view(1, 16, 16) / 255
    found = torch.zeros((1, 16, 16), dtype=torch.uint8, device=DEVICE)
    AlphaBytes(snap=SNAP, device=DEVICE)(alpha, found)
    wanted = segmenter.snapped(np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert np.array_equal(found[0].cpu().numpy(), wanted)


@pytest.mark.parametrize("is_matte", [False, True])
def test_shares_are_those_of_the_segmentation(is_matte):
    results = [random_result((70, 90), (70, 90), seed, is_matte=is_matte) for seed in range(2)]
    masks = [result.network_alpha if is_matte else result.network_labels for result in results]
    counts = torch.full((2, len(results[0].classes)), 7, dtype=torch.int64, device=DEVICE)
    count_classes(torch.from_numpy(np.stack(masks)).to(DEVICE), counts, is_matte=is_matte)
    for row, result in zip(counts.cpu(), results, strict=True):
        assert shares_of(row, is_matte=is_matte, mask_wh=(70, 90)) == pytest.approx(result.class_shares(), abs=1e-6)


@pytest.mark.parametrize("layout", ["nv12", "i420"])
def test_planes_become_the_cpus_rgb(layout):
    assert check_rgb(PictureFormat((46, 30), layout, "bt601"), device=DEVICE).worst == 0


def test_what_a_kernel_cannot_take_is_refused():
    labels = Labels((20, 14), (20, 14), 5, device=DEVICE)
    with pytest.raises(ConfigError, match=r"labels, logits: got float32 \[1, 4, 14, 20\]"):
        labels(torch.zeros((1, 4, 14, 20), device=DEVICE), torch.zeros((1, 14, 20), dtype=torch.uint8, device=DEVICE))
    wide = torch.zeros((1, 14, 40), dtype=torch.uint8, device=DEVICE)
    with pytest.raises(ConfigError, match="expected contiguous"):
        labels(torch.zeros((1, 5, 14, 20), device=DEVICE), wide[:, :, ::2])


def test_a_device_that_runs_no_kernels_is_refused(monkeypatch):
    monkeypatch.setattr(launch, "INTERPRETED", False)
    with pytest.raises(BackendUnavailable, match="TRITON_INTERPRET"):
        AlphaBytes(snap=0, device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match="no CUDA device"):
        AlphaBytes(snap=0, device="cuda")
