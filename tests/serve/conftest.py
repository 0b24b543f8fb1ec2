"""The pictures of a person at a desk, and a server that every test of a file can share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("starlette", reason="the extra serve is not installed")

from rtseg import open_source
from tests.serve.parts import ServerUnderTest

SIZE_WH = (320, 240)


@pytest.fixture(scope="session")
def desk() -> list[np.ndarray]:
    """Two seconds of a person at a desk, rgb uint8 [H, W, 3]."""
    with open_source("synthetic:desk", size_wh=SIZE_WH, fps=15, frame_count=20) as source:
        return [np.array(frame.rgb) for frame in source.frames()]


@pytest.fixture(scope="session")
def desk_person() -> np.ndarray:
    """Where the person is in the first picture, 0..255, uint8 [H, W]."""
    from rtseg.sources.synthetic import SyntheticSource

    source = SyntheticSource("desk", size_wh=SIZE_WH, fps=15, frame_count=20)
    alpha = source.truth_alpha(0)
    assert alpha is not None
    return alpha


@pytest.fixture(scope="module")
def server() -> Iterator[ServerUnderTest]:
    """A server with one stream and an engine that costs nothing, shared by the tests of a file."""
    with ServerUnderTest(streams=("desk=synthetic:desk?size=160x120&fps=15",), backend="fake") as server:
        yield server


@pytest.fixture(scope="module")
def real_server() -> Iterator[ServerUnderTest]:
    """A server with the real engine, shared by the tests of a file."""
    with ServerUnderTest() as server:
        yield server
