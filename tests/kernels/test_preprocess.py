"""The fused preprocess against resizing, colour conversion and normalisation on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
DEVICE = kernel_device()

import torch  # noqa: E402

from rtseg import preprocess  # noqa: E402
from rtseg.errors import ConfigError  # noqa: E402
from rtseg.kernels import tables  # noqa: E402
from rtseg.kernels.picture import DevicePicture, PictureFormat  # noqa: E402
from rtseg.kernels.preprocess import Normalisation, Preprocessor  # noqa: E402
from rtseg.render.compositor_cuda_checks import check_preprocess, device_pictures, random_picture  # noqa: E402

NETWORK_WH = (20, 14)
BYTES = Normalisation(scale=1.0)


def network_bytes(frame, pictures, *, as_format=None, size_wh=NETWORK_WH, **options):
    """What the kernel makes of pictures before normalisation, uint8 [N, h, w, 3]."""
    kernel = Preprocessor(as_format or frame, size_wh, normalisation=BYTES, device=DEVICE, **options)
    held = device_pictures(pictures, frame, DEVICE)
    found = kernel.empty_input(len(pictures))
    kernel(DevicePicture(as_format or frame, held.planes), found)
    return found.permute(0, 2, 3, 1).cpu().numpy()


def apart(found, pictures, *, size_wh=NETWORK_WH):
    wanted = np.stack([preprocess.to_network(picture, size_wh).rgb for picture in pictures])
    return np.abs(found - wanted).max()


@pytest.mark.parametrize("layout", ["rgb", "nv12", "i420"])
@pytest.mark.parametrize("size_wh", [(20, 14), (48, 32), (180, 124), (2, 2)], ids=str)
def test_it_is_exact_in_every_layout(layout, size_wh):
    assert check_preprocess(PictureFormat(size_wh, layout), NETWORK_WH, device=DEVICE).worst == 0


@pytest.mark.parametrize("size_wh", [(49, 31), (1, 1), (1, 9), (23, 1)], ids=str)
def test_it_is_exact_at_odd_sizes_and_single_pixels(size_wh):
    assert check_preprocess(PictureFormat(size_wh), NETWORK_WH, batch=1, device=DEVICE).worst == 0


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_it_is_exact_in_every_matrix_and_range(matrix, full_range):
    frame = PictureFormat((48, 32), "nv12", matrix, full_range)
    assert check_preprocess(frame, NETWORK_WH, batch=3, device=DEVICE).worst == 0


def test_where_no_halving_fits_areas_are_averaged_within_a_level():
    frame = PictureFormat((63, 45))
    pictures = [random_picture(frame, 1)]
    assert tables.is_area((63, 45), (20, 14))
    assert apart(network_bytes(frame, pictures, dtype=torch.float32), pictures) <= 1


def test_a_wrong_range_or_matrix_would_be_seen():
    frame = PictureFormat((48, 32), "nv12", "bt709", False)
    pictures = [random_picture(frame, 1)]
    for wrong in (PictureFormat((48, 32), "nv12", "bt709", True), PictureFormat((48, 32), "nv12", "bt601", False)):
        assert apart(network_bytes(frame, pictures, as_format=wrong, dtype=torch.float32), pictures) > 4


def test_a_shifted_grid_would_be_seen(monkeypatch):
    exact = tables.linear_taps
    monkeypatch.setattr(
        tables, "linear_taps", lambda before, after, *, rows: np.roll(exact(before, after, rows=rows), 1)
    )
    frame = PictureFormat((48, 32), "nv12")
    pictures = [random_picture(frame, 1)]
    assert apart(network_bytes(frame, pictures, dtype=torch.float32), pictures) > 4


def test_planes_with_a_pitch_are_read_without_their_padding():
    frame = PictureFormat((48, 32), "nv12")
    plain = device_pictures([random_picture(frame, 2)], frame, DEVICE)
    buffer = torch.full((48, 61), 255, dtype=torch.uint8, device=DEVICE)
    buffer[:32, :48] = plain.planes[0][0]
    buffer[32:, :48:2], buffer[32:, 1:48:2] = plain.planes[1][0], plain.planes[2][0]
    padded = DevicePicture.of_nv12(buffer[:32, :48], buffer[32:, :48])
    kernel = Preprocessor(frame, NETWORK_WH, device=DEVICE)
    wanted, found = kernel.empty_input(), kernel.empty_input()
    kernel(plain, wanted)
    kernel(padded, found)
    assert torch.equal(found, wanted)


def test_channel_order_and_memory_order_are_the_networks():
    frame = PictureFormat((24, 16))
    held = device_pictures([random_picture(frame, 3)], frame, DEVICE)
    rgb = Preprocessor(frame, NETWORK_WH, device=DEVICE)
    bgr = Preprocessor(frame, NETWORK_WH, normalisation=Normalisation(channel_order="BGR"), device=DEVICE)
    wanted = rgb.empty_input()
    found = bgr.empty_input().to(memory_format=torch.channels_last)
    rgb(held, wanted)
    bgr(held, found)
    assert found.stride(1) == 1
    assert torch.equal(found, wanted.flip(1))


@pytest.mark.parametrize("layout", ["rgb", "i420"])
def test_the_luma_is_that_of_the_network_picture(layout):
    frame = PictureFormat((48, 32), layout)
    picture = random_picture(frame, 4)
    kernel = Preprocessor(frame, NETWORK_WH, device=DEVICE)
    luma = torch.zeros((1, NETWORK_WH[1], NETWORK_WH[0]), dtype=torch.uint8, device=DEVICE)
    kernel(device_pictures([picture], frame, DEVICE), kernel.empty_input(), luma=luma)
    assert np.array_equal(luma[0].cpu().numpy(), preprocess.to_network(picture, NETWORK_WH).luma)


def test_another_format_type_or_shape_is_refused():
    frame = PictureFormat((24, 16))
    kernel = Preprocessor(frame, NETWORK_WH, device=DEVICE)
    held = DevicePicture.empty(frame, device=DEVICE)
    with pytest.raises(ConfigError, match="expected 1 of PictureFormat"):
        kernel(DevicePicture.empty(PictureFormat((24, 18)), device=DEVICE), kernel.empty_input())
    with pytest.raises(ConfigError, match=r"expected float16 \[1, 3, 14, 20\]"):
        kernel(held, kernel.empty_input().float())
    with pytest.raises(ConfigError, match="even sides"):
        PictureFormat((25, 16), "nv12")
    with pytest.raises(ConfigError, match="chroma of half of it"):
        DevicePicture.of_i420(held.planes[0], held.planes[1], held.planes[2])
