"""The Video tab in a real browser: a file goes up, is rendered, watched beside its source, and taken home."""

from __future__ import annotations

import csv
import io
import urllib.request

import av
import cv2
import numpy as np
import pytest

from rtseg.sources.synthetic import SyntheticSource
from tests.serve.page.parts import Page

FRAMES = 10


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A short drive as a video file."""
    path = tmp_path_factory.mktemp("drive") / "drive one.mp4"
    with (
        av.open(str(path), "w") as container,
        SyntheticSource("street", size_wh=(320, 180), frame_count=FRAMES) as source,
    ):
        stream = container.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for frame in source.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def have_rendered(page: Page, path) -> None:
    """Have the result of a file on the page; the one that is there already will do."""
    if not page.driver.current_url.startswith(page.address) or not page.find("#compare-box").is_displayed():
        page.open("video")
        page.find("#file").send_keys(str(path))
    ready(page)


def ready(page: Page) -> None:
    page.wait(lambda: page.js("return document.getElementById('compare-result').readyState") >= 2, "the result")
    page.wait(lambda: page.find("#shares").is_displayed(), "the shares")


def cookie_free_get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read()


def test_a_video_goes_up_and_comes_back_with_everything(page, drive, tmp_path):
    from selenium.webdriver.common.keys import Keys

    page.open("video")
    page.js(
        "window.seen = new Set(); const line = document.getElementById('job-detail');"
        "new MutationObserver(() => window.seen.add(line.textContent)).observe(line, {childList: true})"
    )
    page.find("#file").send_keys(str(drive))
    ready(page)
    said = page.js("return [...window.seen]")
    assert any(line.startswith("Uploading") for line in said)
    assert page.text("#job-name") == "drive one.mp4"
    assert f"{FRAMES} frames" in page.text("#job-detail")

    source, result = page.grab("#compare-source"), page.grab("#compare-result")
    assert source.shape == result.shape
    assert np.abs(source.astype(int) - result).mean() > 4  # the overlay is really there

    slider = page.find("#compare-slider")
    before = page.js("return getComputedStyle(document.getElementById('compare-source')).clipPath")
    slider.send_keys(Keys.ARROW_RIGHT * 20)
    assert page.js("return document.getElementById('compare-slider').value") == "70"
    assert page.js("return getComputedStyle(document.getElementById('compare-source')).clipPath") != before

    slider.send_keys(Keys.SPACE)
    page.wait(lambda: page.js("return document.getElementById('compare-result').currentTime") > 0.3, "playback")
    page.wait(lambda: page.js("return document.getElementById('compare-result').ended"), "the end")
    times = page.js("return ['compare-source', 'compare-result'].map(id => document.getElementById(id).currentTime)")
    assert abs(times[0] - times[1]) < 0.11  # half a frame at five a second

    addresses = {
        a.get_attribute("data-file"): a.get_attribute("href")
        for a in page.driver.find_elements("css selector", ".downloads a")
    }
    assert set(addresses) == {"result.mp4", "masks.zip", "shares.csv", "shares.parquet"}
    rows = list(csv.DictReader(io.StringIO(cookie_free_get(addresses["shares.csv"]).decode())))
    assert len(rows) == FRAMES
    assert sum(float(rows[0][name]) for name in rows[0] if name not in ("frame_index", "seconds")) == pytest.approx(
        1, abs=1e-3
    )
    path = tmp_path / "result.mp4"
    path.write_bytes(cookie_free_get(addresses["result.mp4"]))
    first = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert np.abs(first.astype(int) - result).mean() < 6  # what is shown is what the server made
    assert cookie_free_get(addresses["shares.parquet"]).startswith(b"PAR1")
    assert cookie_free_get(addresses["masks.zip"]).startswith(b"PK")


def test_the_timeline_seeks_shows_values_and_hides_classes_in_the_picture_too(page, drive):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    have_rendered(page, drive)
    timeline = page.find("#timeline")
    timeline.send_keys(Keys.HOME)
    timeline.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: float(timeline.get_attribute("aria-valuenow")) == pytest.approx(1, abs=0.11), "one second on")
    assert "road" in timeline.get_attribute("aria-valuetext")
    ActionChains(page.driver).move_to_element(timeline).perform()
    page.wait(lambda: "road" in page.text("#shares .tip"), "the values under the pointer")
    timeline.send_keys(Keys.HOME)
    page.wait(lambda: page.js("return document.getElementById('compare-result').currentTime") == 0, "the beginning")

    chart = page.grab_canvas("#timeline")
    picture = page.grab("#compare-result")
    road = page.find("#legend [data-name=road]")
    assert "%" in road.text
    road.click()
    assert page.find("#legend [data-name=road]").get_attribute("aria-pressed") == "false"
    assert np.abs(chart.astype(int) - page.grab_canvas("#timeline")).mean() > 4
    page.find("#render").click()
    page.wait(lambda: not page.find("#compare-box").is_displayed(), "the new render")
    ready(page)
    page.wait(lambda: page.find("#compare-box").is_displayed(), "the new result")
    below = slice(150, 175), slice(60, 260)  # nothing but road
    page.wait(
        lambda: np.abs(picture[below].astype(int) - page.grab("#compare-result")[below]).mean() > 8,
        "no tint on the road",
    )
    assert not page.find("#apply").is_displayed()
    page.driver.refresh()
    ready(page)  # a page that is loaded again goes on with the video that was there
    assert page.find("#legend [data-name=road]").get_attribute("aria-pressed") == "false"


def test_a_render_is_cancelled(page, drive):
    page.open("video")
    page.js(
        "const line = document.getElementById('job-detail');"
        "new MutationObserver((_, all) => /^(Rendering|Waiting)/.test(line.textContent) &&"
        " (document.getElementById('job-cancel').click(), all.disconnect())).observe(line, {childList: true})"
    )
    page.find("#file").send_keys(str(drive))
    page.wait(lambda: "Cancelled" in page.js("return announce.textContent"), "the end")
    page.wait(lambda: page.find("#drop-zone").is_displayed(), "the empty tab")
    states = "return fetch('/api/videos').then(a => a.json()).then(all => all.map(one => one.state))"
    page.wait(lambda: page.js(states)[-1] in ("cancelled", "done"), "the server's end of it")
    assert page.js(states)[-1] == "cancelled"


def test_what_is_no_video_is_refused_in_one_sentence(page, tmp_path):
    (tmp_path / "letter.mp4").write_bytes(b"Dear reader, this is a letter." * 50)
    page.open("video")
    page.find("#file").send_keys(str(tmp_path / "letter.mp4"))
    page.wait(lambda: page.text("#video-error"), "the reason")
    assert "expected" in page.text("#video-error")
    assert page.find("#drop-zone").is_displayed()
    assert all("400" in line or "422" in line for line in page.complaints())  # the browser's own line about the answer


def test_a_file_beyond_the_limit_is_not_even_sent(page, address):
    page.open("camera")
    page.js(
        "const big = new File([new ArrayBuffer(1)], 'big.mp4'); Object.defineProperty(big, 'size', {value: 9e12});"
        "const drop = new DragEvent('drop', {bubbles: true, cancelable: true});"
        "Object.defineProperty(drop, 'dataTransfer', {value: {files: [big]}});"
        "document.getElementById('camera-stage').dispatchEvent(drop)"  # anywhere will do
    )
    assert page.find("#panel-video").is_displayed()
    assert "this server takes up to 512 MB" in page.text("#video-error")
    assert not any("/api/videos" in url for url in page.requested())
