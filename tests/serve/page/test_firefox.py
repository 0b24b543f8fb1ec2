"""The same page in Firefox, where it and its driver are present: camera, age, and a stream."""

from __future__ import annotations

import shutil

import pytest

from tests.serve.page.parts import Page

FIREFOX = next(filter(None, map(shutil.which, ("firefox", "firefox-esr"))), None)
DRIVER = shutil.which("geckodriver")


@pytest.fixture(scope="module")
def firefox():
    """A Firefox without a screen, with its own test picture as the camera."""
    if not (FIREFOX and DRIVER):
        pytest.skip("firefox with geckodriver absent")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.FirefoxOptions()
    options.binary_location = FIREFOX
    options.add_argument("-headless")
    for name in ("media.navigator.streams.fake", "media.navigator.permission.disabled"):
        options.set_preference(name, True)
    options.set_preference("media.autoplay.default", 0)
    driver = webdriver.Firefox(options=options, service=webdriver.FirefoxService(DRIVER))
    driver.set_window_size(1400, 1000)
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


class FirefoxPage(Page):
    """The page, without what only Chromium's own protocol can ask for."""

    def allow_camera(self, setting: str) -> None:
        """Nothing to ask: a preference has answered."""
        del setting


def test_the_camera_comes_back_and_its_age_is_read(firefox, address):
    page = FirefoxPage(firefox, address).open()
    page.start_camera()
    assert 0 < page.numbers()["age"] < 5000
    assert page.grab().std() > 1
    page.choose("#effect", "none")
    page.wait(lambda: page.numbers()["fps"] > 0.5, "pictures")
    page.find("#stop").click()
    page.wait(lambda: page.find("#start").is_displayed(), "the end")


def test_a_stream_is_shown(firefox, address):
    page = FirefoxPage(firefox, address).open("streams")
    size = "const e = document.querySelector('#streams video'); return e && e.videoWidth"
    page.wait(lambda: page.js(size) == 320, "the stream")
    assert page.grab("#streams video").std() > 10
