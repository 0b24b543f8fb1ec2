"""The page without a mouse, and for those who listen to it."""

from __future__ import annotations

import pytest

from tests.serve.page.parts import Page

LISTEN = """
window.said = [];
const told = document.getElementById('announce');
new MutationObserver(() => window.said.push(told.textContent)).observe(told, { childList: true });
"""


def tab_to(page: Page, wanted: str) -> None:
    """Press the tab key until the element of that id has the focus."""
    from selenium.webdriver.common.keys import Keys

    seen = []
    for _ in range(40):
        page.keys(Keys.TAB)
        seen.append(page.focused)
        if page.focused == wanted:
            return
    pytest.fail(f"{wanted} cannot be reached by the tab key; reached: {seen}")


def test_everything_is_done_by_keys_and_told(page):
    from selenium.webdriver.common.keys import Keys

    page.open()
    page.js(LISTEN)
    tab_to(page, "tab-camera")
    assert page.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, name in ((Keys.ARROW_RIGHT, "video"), (Keys.END, "streams"), (Keys.ARROW_RIGHT, "camera")):
        page.keys(key)
        assert page.focused == f"tab-{name}"
        assert page.find(f"#tab-{name}").get_attribute("aria-selected") == "true"
        assert page.find(f"#panel-{name}").is_displayed()
    tab_to(page, "start")
    page.keys(Keys.ENTER)
    page.wait_live()
    assert page.focused == "stop"
    page.js("document.getElementById('effect-dock').firstElementChild.focus()")
    page.keys(Keys.ARROW_RIGHT, Keys.SPACE)
    chosen = page.js("return document.querySelector('#effect-dock [aria-pressed=true]').dataset.effect")
    assert chosen == page.js("return document.activeElement.dataset.effect") != "blur"
    assert page.js("return document.getElementById('effect').value") == chosen
    tab_to(page, "stop")
    page.keys(Keys.SPACE)
    page.wait(lambda: page.focused == "start", "the focus back on start")
    page.wait(lambda: "Camera: Off" in page.js("return window.said"), "the last state")
    assert "Camera: Live" in page.js("return window.said")
