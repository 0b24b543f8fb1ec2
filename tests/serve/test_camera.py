"""A browser's camera, there and back: what comes back is composited, and changes while it runs."""

from __future__ import annotations

import asyncio
import time

import cv2
import numpy as np
import pytest

from tests.serve.parts import Browser, ServerUnderTest, run, wait_until

pytestmark = pytest.mark.timeout(180)  # beside everything else that runs on the machine


def detail(rgb: np.ndarray, where: np.ndarray) -> float:
    """How much fine structure there is in a part of a picture."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[where].mean())


def test_the_background_comes_back_blurred_and_the_person_not(real_server, desk, desk_person):
    inside = cv2.erode((desk_person > 200).astype(np.uint8), np.ones((25, 25))) > 0
    outside = cv2.erode((desk_person < 10).astype(np.uint8), np.ones((35, 35))) > 0
    still = [desk[0]]

    async def work() -> None:
        browser = await Browser(real_server, still).start(settings={"effect": "none"})
        try:
            await browser.wait_for_frames(8)
            plain = browser.frames[-1]
            changed = await browser.ask("PATCH", f"/api/camera/{browser.answer['session']}", {"effect": "blur"})
            assert changed.json["effect"] == "blur"
            await wait_until(lambda: detail(browser.frames[-1], outside) < 0.6 * detail(plain, outside), 30)
            blurred = browser.frames[-1]
            assert detail(blurred, inside) > 0.8 * detail(plain, inside)
            assert np.abs(blurred.astype(int) - plain)[inside].mean() < 6
        finally:
            await browser.close()

    run(work())


def test_effect_model_and_strength_change_without_a_new_connection(real_server, desk):
    async def work() -> None:
        browser = await Browser(real_server, desk).start(settings={"effect": "replace", "color": "#00ff00"})
        path = f"/api/camera/{browser.answer['session']}"
        try:
            await wait_until(lambda: browser.frames and greenness(browser.frames[-1]) > 80, 40)
            await browser.ask("PATCH", path, {"color": "#ff0000"})
            await wait_until(lambda: greenness(browser.frames[-1]) < -80, 20)
            street = await browser.ask("PATCH", path, {"model": "street", "effect": "none", "smoothing": False})
            assert street.json["model"] == "street"
            await wait_until(lambda: abs(greenness(browser.frames[-1])) < 40, 30)
            assert browser.connection.connectionState == "connected"
            assert browser.connection.signalingState == "stable"
        finally:
            await browser.close()

    run(work())


def greenness(rgb: np.ndarray) -> float:
    """How much greener than red the top left corner is."""
    corner = rgb[4:20, 4:20].astype(float).mean(axis=(0, 1))
    return float(corner[1] - corner[0])


def test_the_page_is_told_what_is_measured(real_server, desk):
    async def work() -> None:
        browser = await Browser(real_server, desk).start()
        try:
            await browser.wait_for_frames(10)
            await wait_until(lambda: browser.told and browser.told[-1]["state"] == "live", 20)
            told = browser.told[-1]
            assert 0 < told["fps"] < 100  # the first frames may come in a burst
            assert 0 < told["frame_age_ms"]["p50"] <= told["frame_age_ms"]["p99"]
            assert told["infer_ms"] > 0
            assert set(told["dropped"]) <= {"newer_frame", "stale", "viewer", "stopped"}
            asked = await browser.ask("GET", f"/api/camera/{browser.answer['session']}/stats")
            assert asked.json["frames"] >= told["frames"]
        finally:
            await browser.close()

    run(work())


def test_the_time_strip_comes_back_as_it_went(real_server, desk):
    cells = np.random.default_rng(1).integers(0, 2, 40).astype(bool)
    strip = np.repeat(np.where(cells, 255, 0), 320 // 40).astype(np.uint8)
    picture = np.array(desk[0])
    picture[-16:] = strip[None, :, None]

    async def work(kept: bool) -> np.ndarray:
        browser = await Browser(real_server, [picture]).start(
            settings={"effect": "replace", "color": "#808080"}, strip=kept
        )
        try:
            await browser.wait_for_frames(8)
            return browser.frames[-1]
        finally:
            await browser.close()

    def read(rgb: np.ndarray) -> list[bool]:
        row = rgb[-12:-4].astype(float).mean(axis=(0, 2))
        return [bool(value > 128) for value in row.reshape(40, -1).mean(axis=1)]

    assert read(run(work(True))) == cells.tolist()
    assert read(run(work(False))) != cells.tolist()  # the control: without it, the effect covers the strip


def test_a_browser_that_vanishes_is_forgotten_within_ten_seconds(desk):
    async def work(server: ServerUnderTest) -> float:
        browser = await Browser(server, desk).start()
        await browser.wait_for_frames(3)
        assert len(server.room.cameras) == 1
        began = time.monotonic()
        await browser.vanish()
        await wait_until(lambda: not server.room.cameras, 12)
        await browser.close()
        return time.monotonic() - began

    with ServerUnderTest(backend="fake") as server:
        assert run(work(server)) < 10.0


def test_a_session_ends_at_once_when_it_is_told_to(server, desk):
    async def work() -> None:
        browser = await Browser(server, desk).start()
        path = f"/api/camera/{browser.answer['session']}"
        try:
            await browser.wait_for_frames(2)
            assert (await browser.ask("DELETE", path)).status == 200
            assert (await browser.ask("GET", f"{path}/stats")).status == 404
            await asyncio.sleep(0)
        finally:
            await browser.close()

    run(work())
    assert not server.room.cameras


def test_settings_that_cannot_be_right_change_nothing(server, desk):
    async def work() -> None:
        browser = await Browser(server, desk).start(settings={"effect": "spotlight"})
        path = f"/api/camera/{browser.answer['session']}"
        try:
            for wrong in ({"effect": "glitter"}, {"strength": 2}, {"model": "nobody"}, {"background": "none"}, [1]):
                if wrong == {"background": "none"}:
                    wrong = {"effect": "replace", "background": "none"}
                answer = await browser.ask("PATCH", path, wrong)
                assert answer.status == 400
                assert "expected" in answer.json["error"]
            kept = await browser.ask("PATCH", path, {})
            assert kept.json["effect"] == "spotlight"
        finally:
            await browser.close()

    run(work())
