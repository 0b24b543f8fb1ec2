"""The page without a mouse, on a phone, in the dark, and for those who listen to it."""

from __future__ import annotations

import pytest

from tests.serve.page.parts import Page


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


def test_everything_is_reached_by_keys(page):
    from selenium.webdriver.common.keys import Keys

    page.open()
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


def test_changes_are_told_to_those_who_listen(page):
    page.open()
    page.js(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('announce').textContent))"
        ".observe(document.getElementById('announce'), {childList: true})"
    )
    page.start_camera()
    page.find("#stop").click()
    page.wait(lambda: "Camera: Off" in page.js("return window.said"), "the last state")
    assert "Camera: Live" in page.js("return window.said")


def test_every_control_has_a_name(page):
    page.open()
    nameless = page.js(
        """
        const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
          || (e.labels && [...e.labels].some((label) => label.textContent.trim()));
        return [...document.querySelectorAll('button, input, select, canvas, video, [role]')]
          .filter((e) => !named(e) && !['alert', 'status'].includes(e.getAttribute('role'))).map((e) => e.outerHTML);
        """
    )
    assert nameless == []
    assert (
        page.js(
            "return [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
        )
        == []
    )


STABLE_IDS = (
    "start stop effect model strength background smoothing snapshot record result camera-error stats fps age p50 p99 "
    "drops chart drop-zone file progress compare compare-slider timeline legend streams tab-camera tab-video tab-streams"
).split()


def test_the_stable_ids_are_there(page):
    page.open()
    assert [name for name in STABLE_IDS if not page.js("return !!document.getElementById(arguments[0])", name)] == []


@pytest.mark.parametrize("tab", ["camera", "video", "streams"])
def test_a_phone_needs_no_sideways_scrolling(page, tab):
    page.resize(390, 844, phone=True)
    page.open(tab)
    if tab == "camera":
        page.start_camera()
    wide = page.js(
        "return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('main *')]"
        ".filter(e => e.getClientRects().length && !e.closest('.dock') && !e.closest('.crop') && !e.closest('.unseen'))"
        ".map(e => e.getBoundingClientRect().right)]"
    )
    assert max(wide) <= 390.5
    small = page.js(
        "return [...document.querySelectorAll('.tabs button, .button, .dock button')].filter(e => e.getClientRects().length)"
        ".map(e => [e.id || e.textContent.trim(), Math.round(e.getBoundingClientRect().height)]).filter(([, h]) => h < 36)"
    )
    assert small == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page, driver, scheme):
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.open()
    ratios = page.js(
        """
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const rgb = (name) => {
          canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const light = (name) => rgb(name).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
        return [['--ink', '--ground'], ['--ink-soft', '--surface'], ['--ink-faint', '--surface'], ['--ink-faint', '--ground'],
                ['--on-accent', '--accent'], ['--bad', '--bad-soft'], ['--accent', '--surface']].map(([a, b]) => [a, b, ratio(a, b)]);
        """
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert [pair for pair in ratios if pair[2] < 4.5] == []


def test_less_motion_is_respected(page, driver):
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    )
    page.open()
    longest = page.js(
        "return Math.max(...[...document.querySelectorAll('*')].map(e => parseFloat(getComputedStyle(e).transitionDuration)))"
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    page.open()
    control = page.js(
        "return Math.max(...[...document.querySelectorAll('*')].map(e => parseFloat(getComputedStyle(e).transitionDuration)))"
    )
    assert longest == 0 < control
