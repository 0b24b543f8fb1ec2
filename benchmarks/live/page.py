"""A minute of the page in a real browser: how old the shown picture is, whether that drifts, and what is blurred.

`rtseg serve` and a headless Chromium run as processes of their own; the browser's camera is a clip of a person. The
age is read from the time strip in every picture that comes back, by a second reader beside the page's own, so the two
can be compared. The drift is the slope of the medians of each second, and of the freshest tenth of each second (which
the hiccups of a busy machine move less, and a growing queue as much), with their standard errors. What is blurred is
measured in one shown picture: fine detail of the person and of the rest, as a share of what the clip has there. Where
the person is says the model itself, on the clip's own pictures.

    python -m benchmarks.live.page [--clip FILE|synthetic:desk] [--seconds 60] [--size 640x360] [--fps 30]
        [--effect blur] [--json FILE] [--shots FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.stats import machine_facts
from tests.serve.page.parts import Page, browsing, chromium, detail, serving, there_and_back, write_y4m

WARM_SECONDS = 8.0
CLIP_FRAMES = 60
SCHEDULERS = {os.SCHED_FIFO: "real time, fifo", os.SCHED_RR: "real time, round robin"}

SECOND_READER = """
const done = arguments[0];
Promise.all([import('/page/strip.js'), import('/page/frames.js')]).then(([{ StripReader }, { everyFrame }]) => {
  const video = document.getElementById('result'), reader = new StripReader();
  window.measured = [];
  everyFrame(video, (now, metadata) => {
    const stamp = reader.read(video, video.videoHeight);
    const at = Math.max(performance.now(), metadata.expectedDisplayTime || 0);
    window.measured.push([at, stamp === null ? null : at - stamp]);
  });
  done(true);
});
"""


def clip_pictures(clip: str, size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return the first pictures of a clip, rgb uint8 [H, W, 3], in the size of the camera, cut to its shape."""
    spec = f"{clip}?size={size_wh[0]}x{size_wh[1]}" if clip == "synthetic:desk" else clip
    with rtseg.open_source(spec) as source:
        return [_cut(frame.rgb, size_wh) for frame in islice(source.frames(), CLIP_FRAMES)]


def _cut(rgb: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    rows, columns = min(height, width * size_wh[1] // size_wh[0]), min(width, height * size_wh[0] // size_wh[1])
    top, left = (height - rows) // 2, (width - columns) // 2
    part = rgb[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def person_and_rest(pictures: list[NDArray[np.uint8]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the person and where nobody is in all of the pictures, with a margin, bool [H, W] each."""
    segmenter = rtseg.load("person")
    alphas = [segmenter(picture).alpha for picture in pictures[:: max(1, len(pictures) // 8)]]
    stack = np.stack([alpha for alpha in alphas if alpha is not None])
    near = np.ones((25, 25), np.uint8)
    person = cv2.erode((stack.min(axis=0) > 0.95).astype(np.uint8), near) > 0
    rest = cv2.dilate((stack.max(axis=0) > 0.05).astype(np.uint8), near) == 0
    return person, rest


def ages_of(measured: list[list[float | None]]) -> dict[str, Any]:
    """Return the percentiles and the drift of ages, from (time, age or None) in milliseconds."""
    at = np.array([moment for moment, age in measured if age is not None]) / 1000
    ages = np.array([age for _, age in measured if age is not None], float)
    slope, error = _slope_of(at, ages, 50)
    fresh_slope, fresh_error = _slope_of(at, ages, 10)
    shown = np.array([moment for moment, _ in measured]) / 1000
    return {
        "pictures": len(measured),
        "unreadable": len(measured) - len(ages),
        "fps": round((len(shown) - 1) / (shown[-1] - shown[0]), 2),
        "age_ms": {f"p{part}": round(float(np.percentile(ages, part)), 1) for part in (5, 50, 95, 99)}
        | {"max": round(float(ages.max()), 1)},
        "drift_ms_per_minute": round(slope * 60, 1),
        "drift_standard_error": round(error * 60, 1),
        "drift_of_freshest_ms_per_minute": round(fresh_slope * 60, 1),
        "drift_of_freshest_standard_error": round(fresh_error * 60, 1),
        "first_10_s_p50_ms": round(float(np.median(ages[at - at[0] < 10])), 1),
        "last_10_s_p50_ms": round(float(np.median(ages[at[-1] - at < 10])), 1),
    }


def _slope_of(at: NDArray[np.float64], ages: NDArray[np.float64], percent: float) -> tuple[float, float]:
    """Return the slope of a percentile of each second's ages, and its standard error, in ms a second."""
    seconds = np.floor(at - at[0])
    each = np.unique(seconds)
    return _slope(each, np.array([np.percentile(ages[seconds == second], percent) for second in each]))


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the least-squares slope and its standard error."""
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt((rest**2).sum() / max(1, len(x) - 2) / (centred**2).sum()))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run server and browser for the time asked for, and return what was measured."""
    width, height = map(int, options.size.split("x"))
    pictures = clip_pictures(options.clip, (width, height))
    person, rest = person_and_rest(pictures)
    clip = write_y4m(folder / "camera.y4m", there_and_back(pictures), options.fps)
    with serving() as (address, _), browsing(folder / "profile", clip) as driver:
        page = Page(driver, address)
        page.resize(1400, 1000)
        page.open().start_camera(options.size)
        page.choose("#effect", options.effect)
        time.sleep(WARM_SECONDS)
        driver.execute_async_script(SECOND_READER)
        load = []
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            load.append(os.getloadavg()[0])
            time.sleep(1)
        measured, own = page.js("return window.measured"), page.numbers()
        shown = np.ascontiguousarray(page.grab()[:height])  # below: a margin and the time strip
        drops = page.text("#drop-causes")
        _shoot(page, options.shots)
        return {
            **ages_of(measured),
            "page_says": {key: own[key] for key in ("fps", "age", "p50", "p99", "drops", "unread") if key in own},
            "drop_causes": drops,
            "complaints": page.complaints(),
            "detail_kept": {
                "person": round(detail(shown, person) / detail(pictures[0], person), 3) if person.any() else None,
                "rest": round(detail(shown, rest) / detail(pictures[0], rest), 3) if rest.any() else None,
            },
            "load_average": {"mean": round(float(np.mean(load)), 1), "max": round(float(np.max(load)), 1)},
            "scheduling": {
                "policy": SCHEDULERS.get(os.sched_getscheduler(0), "other"),
                "nice": os.getpriority(os.PRIO_PROCESS, 0),
            },
            "browser": driver.capabilities["browserVersion"],
        }


def _shoot(page: Page, folder: Path | None) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    page.driver.save_screenshot(str(folder / "wide.png"))
    page.resize(390, 844, phone=True)
    time.sleep(1)
    page.driver.save_screenshot(str(folder / "phone.png"))


def main() -> int:
    """Measure and print; with --json, write as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="synthetic:desk")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", default="640x360", choices=["640x360", "960x540", "1280x720", "1920x1080"])
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--effect", default="blur")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    options = parser.parse_args()
    if chromium() is None:
        sys.exit("page: got no chromium with chromedriver; expected both. apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    clip = options.clip if options.clip.startswith("synthetic:") else Path(options.clip).name
    result = {
        "command": f"python -m benchmarks.live.page --clip {clip} --seconds {options.seconds:g} --size {options.size} "
        f"--fps {options.fps} --effect {options.effect}",
        "machine": machine_facts(),
        "clip": clip,
        **found,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
