"""How many pictures an engine is asked to take at once: one a source that runs at once, on a GPU alone."""

from __future__ import annotations

import pytest

from rtseg import api
from rtseg.api import RunOptions
from rtseg.backends import device_backend
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.cuda_device import NO_DEVICE, CudaDevice
from rtseg.pipeline.device_batch import MOST_BATCHED


@pytest.mark.parametrize(
    ("sources", "options", "count"),
    [
        (["a.mp4"], {"together": True}, 1),
        (["a.mp4", "b.mp4"], {}, 1),
        (["a.mp4", "b.mp4"], {"together": True}, 2),
        (["rtsp://a/1", "rtsp://a/2", "c.mp4"], {}, 3),
        (["rtsp://a/1", "rtsp://a/2"], {"together": False}, 1),
        ([f"{n}.mp4" for n in range(20)], {"together": True}, MOST_BATCHED),
    ],
)
def test_one_picture_a_source_that_runs_at_once(monkeypatch, sources, options, count):
    asked = {}
    monkeypatch.setattr(api, "load", lambda model, **words: asked.update(words))
    api.load_for("street", sources, RunOptions(**options), backend="auto")
    assert asked["batch"] == count
    assert asked["backend"] == "auto"


def test_only_a_gpu_takes_batches(monkeypatch):
    assert not OpenVINOBackend.takes_batches()
    for device in (NO_DEVICE, CudaDevice("NVIDIA Test", "8.9", "580")):
        monkeypatch.setattr(device_backend, "current_device", lambda device=device: device)
        assert DeviceBackend.takes_batches() == device.present
