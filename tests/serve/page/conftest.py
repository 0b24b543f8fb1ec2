"""One server and one browser for all tests of the page; absent without a browser, visibly."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.serve.page.parts import CAMERA_FPS, Page, browsing, chromium, desk_scene, serving, there_and_back, write_y4m

STREAM = "synthetic:street?size=320x180&fps=4"


def _skip_without(*missing: str) -> None:
    if missing and "chromium" in os.environ.get("RTSEG_REQUIRE", "").split(","):
        pytest.fail(f"RTSEG_REQUIRE asks for chromium; absent: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"{', '.join(missing)} absent")


@pytest.fixture(scope="session")
def packages_here() -> None:
    """Skip where the page cannot be served or driven; `RTSEG_REQUIRE=chromium` makes that a failure."""
    names = ("selenium", "aiortc", "starlette", "uvicorn")
    _skip_without(*(name for name in names if not importlib.util.find_spec(name)))


@pytest.fixture(scope="session")
def browser_here(packages_here) -> None:
    """Skip where there is no browser; `RTSEG_REQUIRE=chromium` makes that a failure."""
    _skip_without(*(() if chromium() else ("chromium with chromedriver",)))


@pytest.fixture(scope="session")
def scene():
    """Frames of the built-in desk, and the masks of person and room."""
    return desk_scene()


@pytest.fixture(scope="session")
def camera_clip(scene, tmp_path_factory):
    """The desk as a clip for the browser's fake camera."""
    path = tmp_path_factory.mktemp("camera") / "desk.y4m"
    return write_y4m(path, there_and_back(scene[0]), CAMERA_FPS)


@pytest.fixture(scope="session")
def address(packages_here) -> Iterator[str]:
    """Where the server is."""
    with serving(STREAM) as (found, _):
        yield found


@pytest.fixture(scope="session")
def driver(browser_here, camera_clip, tmp_path_factory):
    """The browser."""
    with browsing(tmp_path_factory.mktemp("profile"), camera_clip) as found:
        yield found


@pytest.fixture
def page(driver, address) -> Iterator[Page]:
    """The page, wide; nothing may be complained of and nothing asked for elsewhere until the test is over."""
    shown = Page(driver, address)
    shown.resize(1400, 1000)
    shown.complaints()
    shown.requested()
    yield shown
    assert shown.complaints() == []
    assert [url for url in shown.requested() if not url.startswith(address)] == []
