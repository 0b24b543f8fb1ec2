"""The server dies while the camera is on; the page says so, waits, and goes on by itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.serve.page.parts import Page, serving


def test_the_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(driver):
    with serving("--backend", "fake") as (address, process):
        page = Page(driver, address)
        page.resize(1400, 1000)
        page.open().start_camera()
        process.kill()
        page.wait(lambda: page.find("#server-gone").is_displayed(), "the banner")
        assert "The server is gone." in page.text("#server-gone")
        page.wait(lambda: page.text("#camera-state") == "Reconnecting", "the state of the camera")
    with serving("--backend", "fake", port=urlsplit(address).port or 0):
        page.wait(lambda: not page.find("#server-gone").is_displayed(), "the banner's end")
        page.wait(lambda: page.text("#camera-state") == "Live", "the picture")
        page.wait_live()
        driver.get("about:blank")
    page.complaints()  # refused connections were the matter here
