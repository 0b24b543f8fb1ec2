"""Hardware and footage policy: what is absent is skipped, unless RTSEG_REQUIRE names it (then it is red)."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """The folder of real footage: RTSEG_SHARED, or `shared` beside the repository; None where there is none."""
    named = os.environ.get("RTSEG_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    return folder if (folder / "media").is_dir() else None


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


PRESENT = {
    "shared": lambda: shared_folder() is not None,
    "torch": lambda: all(importlib.util.find_spec(name) for name in ("torch", "onnx", "onnxruntime")),
    "cuda": _has_cuda,
    "tensorrt": lambda: any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")),
    "camera": lambda: Path("/dev/video0").exists(),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(filter(None, os.environ.get("RTSEG_REQUIRE", "").split(",")))
    for name, present in PRESENT.items():
        if item.get_closest_marker(f"needs_{name}") and not present():
            if name in required:
                pytest.fail(f"RTSEG_REQUIRE asks for {name}, which is absent", pytrace=False)
            pytest.skip(f"{name} is absent")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of this run's own, so that no test reads or fills the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real footage; the test must be marked needs_shared."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("the footage beside the project is absent")
    return folder


def write_clip(path: Path, *, frames: int = 12, size_wh: tuple[int, int] = (96, 64), fps: int = 25) -> Path:
    """Write a short H.264 clip of a moving box with a tone; the container goes by the suffix."""
    import numpy as np

    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "ultrafast"})
        video.width, video.height = size_wh
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=44100, layout="mono")
        for index in range(frames):
            picture = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
            picture[16:40, 4 + 3 * index : 28 + 3 * index] = (220, 60, 40)
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        tone = (np.sin(np.arange(44100 * frames // fps) * 0.06) * 0.2).astype(np.float32)
        for start in range(0, len(tone) - 1024, 1024):
            block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts = 44100, start
            for packet in audio.encode(block):
                container.mux(packet)
        for stream in (video, audio):
            for packet in stream.encode(None):
                container.mux(packet)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short clip with sound."""
    return write_clip(tmp_path / "clip.mp4")
