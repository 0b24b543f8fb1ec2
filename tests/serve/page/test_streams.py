"""The Streams tab in a real browser: tiles by WebRTC, MJPEG where that is not to be had."""

from __future__ import annotations

import numpy as np
import pytest

from tests.serve.page.parts import Page


def shown(page: Page, kind: str) -> np.ndarray:
    """The picture of the one tile, once there is one."""
    selector = f"#streams .tile {kind}"
    size = "videoWidth" if kind == "video" else "naturalWidth"
    page.wait(
        lambda: page.js(f"const e = document.querySelector(arguments[0]); return e && e.{size}", selector), "a picture"
    )
    return page.grab(selector)


@pytest.mark.parametrize(("query", "kind", "name"), [("", "video", "WebRTC"), ("?streams=mjpeg", "img", "MJPEG")])
def test_a_stream_is_shown(page, query, kind, name):
    page.open("streams", query)
    first = shown(page, kind)
    assert first.shape == (180, 320, 3)
    assert first.std() > 10
    page.wait(lambda: np.abs(first.astype(int) - shown(page, kind)).mean() > 1, "another picture")
    assert page.text("#streams [data-field=way]") == name
    page.wait(lambda: page.text("#streams [data-field=state]") == "Live", "the state")
    page.wait(lambda: page.text("#streams [data-field=age]").endswith("old"), "the age")


def test_without_webrtc_the_tile_falls_back_by_itself(page):
    page.open("camera")
    page.js("delete window.RTCPeerConnection; window.RTCPeerConnection = undefined")
    page.find("#tab-streams").click()
    shown(page, "img")
    assert page.text("#streams [data-field=way]") == "MJPEG"


def test_a_stream_is_changed_live_and_rests_when_nobody_looks(page, address):
    page.open("streams")
    shown(page, "video")
    page.find("#streams summary").click()
    name = page.js("return document.querySelector('#streams .tile').dataset.stream")
    model, effect = (f"[id='stream-{name}-{field}']" for field in ("model", "effect"))
    page.choose(model, "street")
    page.choose(effect, "tint")
    page.wait(lambda: page.js("return !!document.querySelector('#streams .legend [data-name=road]')"), "the legend")
    told = "return fetch('/api/streams').then(a => a.json()).then(all => [all[0].settings, all[0].viewers])"
    page.wait(lambda: page.js(told)[0]["effect"] == "tint", "the effect")
    page.find("#streams .legend [data-name=road]").click()
    page.wait(lambda: page.js(told)[0]["hidden"] == ["road"], "the hidden class")
    page.find("#streams .legend [data-name=road]").click()
    page.wait(lambda: page.js(told)[0]["hidden"] == [], "the shown class")
    page.find("#tab-camera").click()
    page.wait(lambda: page.js(told)[1] == 0, "nobody watching")
