"""The server dies while the camera is on; the page says so, waits, and goes on by itself. All of it behind a token."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.serve.page.parts import Page, serving

WORDS = ("--backend", "fake", "--token", "let-me-in-please")


def test_the_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(driver):
    with serving(*WORDS) as (address, process):
        port = urlsplit(address).port
        page = Page(driver, f"http://127.0.0.1:{port}")
        page.resize(1400, 1000)
        driver.get(page.address)  # without the token: nothing
        assert "let-me-in-please" not in driver.page_source
        assert page.js("return !!document.getElementById('start')") is False
        page.open(query="?token=let-me-in-please").start_camera()
        assert "token" not in driver.current_url  # it is in a cookie now, and in no history
        process.kill()
        page.wait(lambda: page.find("#server-gone").is_displayed(), "the banner")
        assert "The server is gone." in page.text("#server-gone")
        page.wait(lambda: page.text("#camera-state") == "Reconnecting", "the state of the camera")
        assert page.grab_canvas("#held").std() > 10  # the last picture is held meanwhile
        assert page.find("#held").is_displayed()
    with serving(*WORDS, port=port):
        page.wait(lambda: not page.find("#server-gone").is_displayed(), "the banner's end")
        page.wait(lambda: page.text("#camera-state") == "Live", "the picture")
        page.wait_live()
        driver.get("about:blank")
    page.complaints()  # refused connections were the matter here
