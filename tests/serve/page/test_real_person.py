"""A real person before a real room in the browser's camera: the room is blurred, the person is not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live.page import clip_pictures, person_and_rest
from tests.serve.page.parts import CAMERA_FPS, CAMERA_WH, Page, browsing, detail, there_and_back, write_y4m

CLIP_FRAMES = 8


@pytest.mark.needs_shared
def test_a_real_room_is_blurred_and_a_real_person_is_not(shared, browser_here, address, tmp_path):
    pictures = clip_pictures(str(shared / "media/person/desk_worker_540p.mp4"), CAMERA_WH)[:CLIP_FRAMES]
    person, rest = person_and_rest(pictures)
    assert min(person.mean(), rest.mean()) > 0.05  # enough of both to speak of
    clip = write_y4m(tmp_path / "worker.y4m", there_and_back(pictures), CAMERA_FPS)
    with browsing(tmp_path / "profile", clip) as driver:
        page = Page(driver, address)
        page.open().start_camera()

        def kept(mask: np.ndarray) -> float:
            shown = np.ascontiguousarray(page.grab()[: CAMERA_WH[1]])
            return detail(shown, mask) / detail(pictures[0], mask)

        page.wait(lambda: kept(person) > 0.6 and kept(rest) < 0.5, "a blurred room and a sharp person")
        page.choose("#effect", "none")
        page.wait(lambda: kept(rest) > 0.7, "the room as it is")
