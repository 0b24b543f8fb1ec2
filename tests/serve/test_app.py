"""What the server tells of itself: the page, models, metrics, OpenAPI; and the background pictures."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from rtseg.serve.openapi import _SUMMARIES
from rtseg.serve.pages import MEDIA_TYPES, page_names
from tests.serve.parts import Browser, ServerUnderTest, run, small_limits


def test_the_page_and_its_files_are_served_and_nothing_else(server):
    page = server.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    for name in page_names():
        file = server.ask("GET", f"/page/{name}")
        assert file.status == 200
        assert file.headers["content-type"] == MEDIA_TYPES[f".{name.rpartition('.')[2]}"]
    for name in ("nothing.js", "..%2fapp.py", "%2e%2e%2fapp.py", "app.py", ""):
        assert server.ask("GET", f"/page/{name}").status == 404


def test_the_page_asks_nobody_outside(server):
    for name in page_names():
        text = server.ask("GET", f"/page/{name}").body.decode("utf-8", "replace")
        outside = set(re.findall(r"https?://[\w.-]+", text)) - {"http://www.w3.org", "http://127.0.0.1"}
        assert outside == set(), name


def test_models_effects_and_limits_are_told(server):
    info = server.ask("GET", "/api/info").json
    assert [model["name"] for model in info["models"]] == ["person", "street"]
    person = info["models"][0]
    assert person["classes"] == ["background", "person"]
    assert re.fullmatch(r"#[0-9a-f]{6}", person["palette"][1])
    assert person["default_effect"] == "blur"
    assert info["limits"]["viewers"] == 16
    assert info["streams"][0]["name"] == "desk"
    assert set(info["machine"]) == {"cpu", "cores", "system"}


def test_every_address_is_described(server):
    described = server.ask("GET", "/openapi.json").json
    found = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert found == set(_SUMMARIES)
    assert described["openapi"].startswith("3.1")
    for method, path in found:  # what is described is there: not 404 by the router, nor 405
        if method == "GET" and "{" not in path:
            assert server.ask(method, path).status == 200


def test_an_address_that_is_none_and_a_method_that_is_none_are_json_errors(server):
    assert server.ask("GET", "/nothing").status == 404
    answer = server.ask("PUT", "/api/info")
    assert answer.status == 405
    assert "expected" in answer.json["error"]


def test_metrics_are_what_prometheus_reads(server, desk):
    async def work() -> str:
        browser = await Browser(server, desk).start()
        viewer = await Browser(server).start("/api/streams/desk/offer")
        try:
            await browser.wait_for_frames(4)
            await viewer.wait_for_frames(4)
            return (await browser.ask("GET", "/metrics")).body.decode()
        finally:
            await browser.close()
            await viewer.close()

    text = run(work())
    line = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)*\})? [0-9.e+-]+$')
    samples = [one for one in text.splitlines() if not one.startswith("#")]
    assert all(line.match(one) for one in samples)
    names = {one.partition("{")[0] for one in samples}
    assert names >= {
        "rtseg_frames_per_second",
        "rtseg_frame_age_seconds",
        "rtseg_frame_age_bucket",
        "rtseg_frames_dropped_total",
        "rtseg_reconnects_total",
        "rtseg_queue_frames",
        "rtseg_stage_seconds_bucket",
    }
    for source in ("desk", "camera"):
        buckets = re.findall(rf'rtseg_frame_age_bucket{{source="{source}",le="([^"]+)"}} (\d+)', text)
        counts = [int(count) for _, count in buckets]
        assert counts == sorted(counts)
        assert buckets[-1][0] == "+Inf"
        assert counts[-1] >= 4
        infer = re.findall(rf'rtseg_stage_seconds_count{{source="{source}",stage="infer"}} (\d+)', text)
        assert int(infer[0]) >= 4


def test_counters_do_not_fall_when_a_run_has_ended(server):
    def shown() -> float:
        text = server.ask("GET", "/metrics").body.decode()
        return float(re.findall(r'rtseg_frames_decoded_total{source="desk"} (\S+)', text)[0])

    async def watch() -> None:
        viewer = await Browser(server).start("/api/streams/desk/offer")
        await viewer.wait_for_frames(3)
        await viewer.close()

    run(watch())
    first = shown()
    run(watch())
    assert shown() > first > 0


# ---- backgrounds ------------------------------------------------------------------------------------------------


def png(size_wh=(40, 30), color=(0, 0, 255)) -> bytes:
    return cv2.imencode(".png", np.full((size_wh[1], size_wh[0], 3), color, np.uint8))[1].tobytes()


@pytest.fixture
def small_server():
    with ServerUnderTest(backend="fake", limits=small_limits()) as server:
        yield server


def test_a_picture_can_be_uploaded_shown_and_removed(small_server):
    made = small_server.ask("POST", "/api/backgrounds?name=beach.png", png())
    assert made.status == 201
    assert made.json["name"] == "beach.png"
    path = f"/api/backgrounds/{made.json['id']}"
    shown = small_server.ask("GET", path)
    picture = cv2.imdecode(np.frombuffer(shown.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (30, 40, 3)
    assert abs(picture.astype(int) - (0, 0, 255)).max() < 8
    assert small_server.ask("GET", "/api/info").json["backgrounds"] == [made.json]
    assert small_server.ask("DELETE", path).status == 200
    assert small_server.ask("GET", path).status == 404


def test_a_form_is_taken_as_well(small_server):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = head + png() + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert small_server.ask("POST", "/api/backgrounds", body, kind).json["name"] == "a.png"
    without = body.replace(b'name="file"', b'name="other"')
    assert small_server.ask("POST", "/api/backgrounds", without, kind).status == 400


def test_large_pictures_are_made_smaller_and_huge_ones_refused(small_server):
    made = small_server.ask("POST", "/api/backgrounds", png((2600, 900))).json
    shown = small_server.ask("GET", f"/api/backgrounds/{made['id']}").body
    assert cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR).shape[1] <= 1920
    claims = bytearray(png())
    claims[16:24] = (60_000).to_bytes(4, "big") * 2
    refused = small_server.ask("POST", "/api/backgrounds", bytes(claims))
    assert refused.status == 400


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff" + b"\x00" * 100, png()[:60], b"<svg/>"])
def test_what_is_no_picture_is_refused(small_server, content):
    answer = small_server.ask("POST", "/api/backgrounds", content)
    assert answer.status == 400
    assert "background" in answer.json["error"]
    assert small_server.ask("POST", "/api/backgrounds", b"x" * 1_200_000).status == 413


def test_no_more_pictures_than_there_may_be(small_server):
    answers = [small_server.ask("POST", "/api/backgrounds", png()).status for _ in range(4)]
    assert answers == [201, 201, 201, 429]
