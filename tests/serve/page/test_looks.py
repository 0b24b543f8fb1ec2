"""What can be seen without doing anything: names, ids, contrast, motion, and the size of a phone."""

from __future__ import annotations

import pytest

from tests.serve.page.parts import Page

STABLE_IDS = (
    "start stop effect model strength background smoothing snapshot record result camera-error stats fps age p50 p99 "
    "drops chart drop-zone file progress compare compare-slider timeline legend streams tab-camera tab-video "
    "tab-streams"
).split()
"""What others may rely on."""

PAIRS = [
    ["--ink", "--ground"],
    ["--ink-soft", "--surface"],
    ["--ink-faint", "--surface"],
    ["--ink-faint", "--ground"],
    ["--on-accent", "--accent"],
    ["--bad", "--bad-soft"],
    ["--accent", "--surface"],
]
"""Text and what it stands on."""

NAMELESS = """
const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
  || (e.labels && [...e.labels].some((label) => label.textContent.trim()));
return [...document.querySelectorAll('button, input, select, canvas:not([aria-hidden]), video, [role]')]
  .filter((e) => !named(e) && !['alert', 'status'].includes(e.getAttribute('role'))).map((e) => e.outerHTML);
"""
TWICE = """
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
return ids.filter((id, i) => ids.indexOf(id) !== i);
"""
CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgb = (name) => {
  canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
};
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (name) => rgb(name).map(linear).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
return arguments[0].map(([text, ground]) => {
  const [more, less] = [light(text), light(ground)].sort((a, b) => b - a);
  return [text, ground, (more + 0.05) / (less + 0.05)];
});
"""
LONGEST_TRANSITION = """
const seconds = (e) => parseFloat(getComputedStyle(e).transitionDuration);
return Math.max(...[...document.querySelectorAll('*')].map(seconds));
"""
RIGHT_EDGES = """
const shown = (e) => e.getClientRects().length && !e.closest('.dock') && !e.closest('.crop') && !e.closest('.unseen');
const edges = [...document.querySelectorAll('main *')].filter(shown).map((e) => e.getBoundingClientRect().right);
return [document.documentElement.scrollWidth, ...edges];
"""
SMALL_TARGETS = """
return [...document.querySelectorAll('.tabs button, .button, .dock button')].filter((e) => e.getClientRects().length)
  .map((e) => [e.id || e.textContent.trim(), Math.round(e.getBoundingClientRect().height)]).filter(([, h]) => h < 36);
"""


@pytest.fixture(scope="module")
def still(driver, address) -> Page:
    """The page as it is after opening, for tests that only look at it."""
    page = Page(driver, address)
    page.resize(1400, 1000)
    return page.open()


def prefer(page: Page, **features: str) -> None:
    """Have the system prefer something; nothing named: as it was."""
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})


def test_every_control_has_a_name_and_every_id_is_one(still):
    assert still.js(NAMELESS) == []
    assert still.js(TWICE) == []
    still.js("const e = document.getElementById('stop'); e.textContent = ''; document.body.append(e.cloneNode(true))")
    assert len(still.js(NAMELESS)) == 2  # the controls of the two checks
    assert still.js(TWICE) == ["stop"]
    still.open()


def test_the_stable_ids_are_there(still):
    assert [name for name in STABLE_IDS if not still.js("return !!document.getElementById(arguments[0])", name)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(still, scheme):
    prefer(still, prefers_color_scheme=scheme)
    ratios = still.js(CONTRASTS, PAIRS)
    prefer(still)
    assert [pair for pair in ratios if pair[2] < 4.5] == []


def test_less_motion_is_respected(still):
    assert still.js(LONGEST_TRANSITION) > 0
    prefer(still, prefers_reduced_motion="reduce")
    longest = still.js(LONGEST_TRANSITION)
    prefer(still)
    assert longest == 0


def test_a_phone_needs_no_sideways_scrolling_and_no_small_fingers(page):
    page.resize(390, 844, phone=True)
    page.open().start_camera()
    for tab in ("camera", "video", "streams"):
        page.js("scrollTo(0, 0)")
        page.find(f"#tab-{tab}").click()
        if tab == "streams":
            page.wait(lambda: page.js("return !!document.querySelector('#streams .legend button')"), "a tile")
        assert max(page.js(RIGHT_EDGES)) <= 390.5
        assert page.js(SMALL_TARGETS) == []
