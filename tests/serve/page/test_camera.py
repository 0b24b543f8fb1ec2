"""The Camera tab in a real browser, with a clip of a person as its camera."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from tests.serve.page.parts import CAMERA_WH, Page, detail

AGE_MS = 3000.0
"""Bound of the age on two busy cores; a queue that grew would pass it in a few seconds."""

OFFERS = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/api/camera')).length"

SENTENCES = {
    "NotAllowedError": "The camera was refused.",
    "NotFoundError": "No camera was found.",
    "NotReadableError": "The camera is busy",
}

READ_BACK = """
const done = arguments[0];
import('/page/strip.js').then(({ drawStrip, StripReader }) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  Object.assign(canvas, { videoWidth: 640, videoHeight: 360 });
  const context = canvas.getContext('2d'), reader = new StripReader(), read = [];
  const fill = (colour, ...box) => { context.fillStyle = colour; context.fillRect(...box); };
  for (const stamp of [0, 1, 123456789, 4294967295]) {
    drawStrip(context, 640, 360, stamp);
    read.push(reader.read(canvas, 360));
  }
  fill('#fff', 320, 344, 16, 16);
  fill('#000', 336, 344, 16, 16);
  read.push(reader.read(canvas, 360));
  fill('#777', 0, 0, 640, 360);
  read.push(reader.read(canvas, 360));
  done(read);
});
"""
"""Stamps written and read: four as they are, one with two cells turned over, and a grey picture."""


def kept(page: Page, scene) -> tuple[float, float]:
    """How much of the input's fine detail the shown picture has: of the person, of the room."""
    pictures, person, room = scene
    shown = grab(page)
    return detail(shown, person) / detail(pictures[0], person), detail(shown, room) / detail(pictures[0], room)


def grab(page: Page) -> np.ndarray:
    """The picture without the margin and the time strip below it."""
    whole = page.grab()
    assert whole.shape[1] == CAMERA_WH[0]
    assert whole.shape[0] > CAMERA_WH[1] + 16
    return np.ascontiguousarray(whole[: CAMERA_WH[1]])


def choose_effect(page: Page, effect: str) -> None:
    page.find(f"#effect-dock [data-effect={effect}]").click()
    assert page.js("return document.getElementById('effect').value") == effect


@pytest.fixture
def live(page) -> Page:
    """The page with its camera on, blurred; the same session as long as it goes on."""
    on = page.driver.current_url.startswith(page.address) and page.numbers().get("state") == "live"
    if not on:
        page.open().start_camera()
    choose_effect(page, "blur")
    return page


def test_effects_are_switched_live_and_drawn_where_they_belong(live, scene):
    session = live.js(OFFERS)
    live.wait(lambda: kept(live, scene)[0] > 0.6 and kept(live, scene)[1] < 0.5, "a blurred room and a sharp person")
    choose_effect(live, "none")  # the control: unblurred, the room has its detail
    live.wait(lambda: kept(live, scene)[1] > 0.7, "the room as it is")
    choose_effect(live, "replace")
    live.js("const c = document.getElementById('color'); c.value = '#00c000'; c.dispatchEvent(new Event('input'))")
    room = scene[2]
    live.wait(lambda: np.abs(grab(live)[room].mean(axis=0) - (0, 192, 0)).max() < 30, "a green room")
    assert live.js(OFFERS) == session == 1  # one offer: everything else went without a reconnect


def test_a_background_is_uploaded_and_the_blur_follows_its_slider(live, scene, tmp_path):
    picture = np.full((90, 160, 3), (200, 40, 40), np.uint8)  # blue, as OpenCV orders it
    cv2.imwrite(str(tmp_path / "wall.png"), picture)
    choose_effect(live, "replace")
    live.find("#background").send_keys(str(tmp_path / "wall.png"))
    live.wait(lambda: live.js("return document.querySelectorAll('#swatches img').length") == 1, "the thumbnail")
    room = scene[2]
    live.wait(lambda: np.abs(grab(live)[room].mean(axis=0) - (40, 40, 200)).max() < 30, "the picture behind")
    (tmp_path / "not.png").write_text("no picture at all")
    live.find("#background").send_keys(str(tmp_path / "not.png"))
    live.wait(lambda: "expected JPEG" in live.text("#background-error"), "the reason why not")
    assert any("400" in line for line in live.complaints())  # the browser's own line about the answer
    live.js("document.querySelector('#swatches .remove').click()")
    choose_effect(live, "blur")
    live.js("const s = document.getElementById('strength'); s.value = 0; s.dispatchEvent(new Event('input'))")
    live.wait(lambda: kept(live, scene)[1] > 0.6, "hardly any blur")
    live.js("const s = document.getElementById('strength'); s.value = 1; s.dispatchEvent(new Event('input'))")
    live.wait(lambda: kept(live, scene)[1] < 0.4, "much blur")


def test_the_age_is_read_from_the_picture_and_stays_small(live):
    live.wait(lambda: live.numbers().get("p99"), "percentiles")
    time.sleep(3)
    numbers = live.numbers()
    assert 0 < numbers["age"] < AGE_MS
    assert 0 < numbers["p50"] <= numbers["p99"] < AGE_MS
    assert numbers["fps"] > 0.5
    shown, kept_as = live.js("return [fps.textContent, stats.dataset.fps].map(Number)")
    assert shown == pytest.approx(kept_as, abs=0.06)
    assert live.text("#age").endswith((" ms", " s"))
    assert numbers["unread"] == 0


def test_a_picture_without_a_readable_strip_has_no_age(page):
    """The control: a stamp is read back to the millisecond, and none is made up where it cannot be read."""
    page.open()
    *stamps, damaged, grey = page.driver.execute_async_script(READ_BACK)
    assert stamps == [0, 1, 123456789, 4294967295]
    assert damaged is None
    assert grey is None


def test_snapshot_and_recording_are_downloads_without_the_strip(live, driver, tmp_path):
    params = {"behavior": "allow", "downloadPath": str(tmp_path)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", params)
    live.find("#snapshot").click()
    shot = live.wait(lambda: next(iter(tmp_path.glob("*.png")), None), "the snapshot")
    live.wait(lambda: cv2.imread(str(shot)) is not None, "the whole snapshot")
    picture = cv2.imread(str(shot))
    assert picture.shape == (CAMERA_WH[1], CAMERA_WH[0], 3)  # the whole picture of the camera, and nothing below it
    live.find("#record").click()
    assert live.find("#record").get_attribute("aria-pressed") == "true"
    time.sleep(2)
    live.find("#record").click()
    clip = live.wait(lambda: next(iter(tmp_path.glob("*.webm")), None), "the recording")
    live.wait(lambda: clip.stat().st_size > 1000, "its content")
    assert cv2.VideoCapture(str(clip)).read()[0]


def test_what_is_wrong_with_the_camera_is_said(page):
    page.open()
    for error, sentence in SENTENCES.items():
        page.js(
            "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('x', arguments[0]))", error
        )
        page.find("#start").click()
        page.wait(lambda sentence=sentence: page.text("#camera-error").startswith(sentence), sentence)
        assert page.find("#camera-error").get_attribute("role") == "alert"
        assert page.find("#start").is_displayed()


def test_a_camera_that_the_browser_refuses_is_said(page):
    page.open()
    page.allow_camera("denied")
    page.find("#start").click()
    page.wait(lambda: "The camera was refused." in page.text("#camera-error"), "the sentence")
    page.allow_camera("granted")
    page.find("#start").click()  # and it is not for ever
    page.wait_live()
    assert page.text("#camera-error") == ""
