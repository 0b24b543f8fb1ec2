"""Make docs/page.jpg, the page of the README, from the built-in desk scene before a headless Chromium's camera.

python -m docs.make_page [--shots FOLDER]    (with --shots, every tab and state, wide and phone, light and dark)
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from rtseg.sources.synthetic import SyntheticSource
from tests.serve.page.parts import Page, browsing, serving, there_and_back, write_y4m

CLIP_WH, CLIP_FRAMES, CLIP_FPS = (960, 540), 12, 10
WATCHED_SECONDS = 60
"""So long that the chart of the last minute has something to show."""


def clip_file(folder: Path) -> Path:
    """Write the scene as a clip for the browser's camera."""
    with SyntheticSource("desk", size_wh=CLIP_WH, frame_count=CLIP_FRAMES) as source:
        pictures = [frame.rgb.copy() for frame in source.frames()]
    return write_y4m(folder / "desk.y4m", there_and_back(pictures), CLIP_FPS)


def drive_file(folder: Path) -> Path:
    """Write a short drive of the built-in street as a video."""
    import av

    path = folder / "drive.mp4"
    with av.open(str(path), "w") as container, SyntheticSource("street", size_wh=(960, 540), frame_count=40) as source:
        stream = container.add_stream("libx264", rate=15, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for frame in source.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def shoot(page: Page, path: Path) -> None:
    """Save what is on the page as PNG."""
    page.driver.save_screenshot(str(path))


def prefer(page: Page, scheme: str) -> None:
    """Choose light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    time.sleep(0.5)


def in_all_sizes(page: Page, folder: Path, name: str) -> None:
    """Save what is on the page wide and as on a phone, in light and in dark."""
    for size, width, height in (("wide", 1400, 1000), ("phone", 390, 1500)):
        page.resize(width, height, phone=size == "phone")
        for scheme in ("light", "dark"):
            prefer(page, scheme)
            page.js("scrollTo(0, 0)")
            time.sleep(0.7)
            shoot(page, folder / f"{name}-{size}-{scheme}.png")
    page.resize(1400, 1000)
    prefer(page, "light")


def all_states(page: Page, folder: Path, drive: Path) -> None:
    """Save every tab in every state."""
    folder.mkdir(parents=True, exist_ok=True)
    page.open()
    in_all_sizes(page, folder, "camera-off")
    page.js("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('x', 'NotAllowedError'))")
    page.find("#start").click()
    in_all_sizes(page, folder, "camera-refused")
    page.open().start_camera("640x360")
    page.find("[data-effect=replace]").click()
    time.sleep(3)
    in_all_sizes(page, folder, "camera-replace")
    page.open("video")
    in_all_sizes(page, folder, "video-empty")
    page.find("#file").send_keys(str(drive))
    page.wait(lambda: "Rendering" in page.text("#job-detail"), "the render")
    time.sleep(2)
    shoot(page, folder / "video-rendering-wide.png")
    page.wait(lambda: page.find("#shares").is_displayed(), "the result", 300)
    time.sleep(1)
    page.js("document.querySelector('#legend [data-name=sky]').click()")
    in_all_sizes(page, folder, "video-done")
    page.open("streams")
    time.sleep(8)
    page.js("document.querySelector('#streams summary').click()")
    in_all_sizes(page, folder, "streams")


def main() -> None:
    """Show the page its own camera for a while and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            serving("synthetic:street?size=640x360&fps=8", "gate=rtsp://127.0.0.1:9/gate") as (address, _),
            browsing(folder / "profile", clip_file(folder)) as driver,
        ):
            page = Page(driver, address)
            page.resize(1400, 1036)
            if options.shots:
                all_states(page, options.shots, drive_file(folder))
                return
            page.open().start_camera("960x540")
            time.sleep(WATCHED_SECONDS)
            picture = cv2.imdecode(np.frombuffer(driver.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            cv2.imwrite(str(Path(__file__).with_name("page.jpg")), picture, [cv2.IMWRITE_JPEG_QUALITY, 86])


if __name__ == "__main__":
    main()
