"""What the driver says of the GPU, read without any vendor's package."""

from __future__ import annotations

import ctypes

import pytest

from rtseg.cuda_device import NO_DEVICE, CudaDevice, device_of


class FakeCuda:
    """Answers as the driver's library does."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def _code(self, name):
        return 100 if name == self.fails else 0

    def cuInit(self, flags):
        return self._code("cuInit")

    def cuDeviceGet(self, handle, index):
        return self._code("cuDeviceGet")

    def cuDeviceGetName(self, text, size, handle):
        text.value = b"NVIDIA Test"
        return self._code("cuDeviceGetName")

    def cuDeviceGetAttribute(self, value, attribute, handle):
        ctypes.cast(value, ctypes.POINTER(ctypes.c_int))[0] = {75: 8, 76: 9}[attribute]
        return self._code("cuDeviceGetAttribute")

    def cuDriverGetVersion(self, value):
        ctypes.cast(value, ctypes.POINTER(ctypes.c_int))[0] = 13010
        return self._code("cuDriverGetVersion")


class FakeNvml:
    """Knows the driver's version."""

    closed = False

    def nvmlInit_v2(self):
        return 0

    def nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"580.65.06"
        return 0

    def nvmlShutdown(self):
        self.closed = True


def test_the_first_gpu_with_its_driver():
    nvml = FakeNvml()
    assert device_of(FakeCuda(), nvml) == CudaDevice("NVIDIA Test", "8.9", "580.65.06")
    assert nvml.closed


def test_without_the_management_library_the_cuda_version_stands_in():
    assert device_of(FakeCuda(), None).driver == "CUDA 13.1"
    assert device_of(FakeCuda("cuDriverGetVersion"), None).driver == "unknown"


@pytest.mark.parametrize("fails", ["cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"])
def test_a_driver_without_a_gpu_is_no_gpu(fails):
    found = device_of(FakeCuda(fails), FakeNvml())
    assert found == NO_DEVICE
    assert not found.present
    assert str(found) == "no GPU"
