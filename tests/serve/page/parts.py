"""A server as its own process, a real browser without a screen, and clips that are its camera."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtseg.sources.synthetic import SyntheticSource

START_SECONDS = 40.0
"""How long a server or a browser may take to start on a busy machine."""
SCENE_FRAMES = 6
CAMERA_FPS = 8
CAMERA_WH = (640, 360)
QUIET_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def chromium() -> tuple[str, str] | None:
    """Return the paths of the browser and its driver, or None where one of them is absent."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def serving(*words: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `rtseg serve`; yields its address and the process, which is ended afterwards."""
    command = [sys.executable, "-m", "rtseg", "serve", "--port", str(port), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert "http://" in line, f"the server said {line!r}"
        yield line.split("serves ")[1].split()[0].rstrip("/"), process
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(10)
            if process.stdout:
                process.stdout.close()


@contextmanager
def browsing(profile: Path, clip: Path | None = None, *flags: str) -> Iterator[Any]:
    """Start a browser with a new profile and, where a clip is given, a camera that shows it; yields the driver."""
    from selenium import webdriver

    found = chromium()
    assert found is not None
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    camera = () if clip is None else ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}")
    for flag in (*QUIET_FLAGS, *camera, f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(profile)})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(found[1]))
    try:
        driver.set_script_timeout(20)
        yield driver
    finally:
        driver.quit()


def write_y4m(path: Path, pictures: list[NDArray[np.uint8]], fps: int) -> Path:
    """Write pictures, rgb uint8 [H, W, 3], as a YUV4MPEG file: what a browser's fake camera reads, without loss."""
    height, width = pictures[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def there_and_back(pictures: list[Any]) -> list[Any]:
    """Return the pictures forwards and backwards, so that the loop has no jump."""
    return [*pictures, *pictures[-2:0:-1]]


def desk_scene() -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return frames of a person before a room, and where there is surely the person and surely the room, [H, W]."""
    pictures, alphas = [], []
    with SyntheticSource("desk", size_wh=CAMERA_WH, frame_count=SCENE_FRAMES) as source:
        for index, frame in enumerate(source.frames()):
            pictures.append(frame.rgb.copy())
            alphas.append(source.truth_alpha(index))
    near = np.ones((25, 25), np.uint8)
    person = cv2.erode(np.min(alphas, axis=0), near) > 250
    room = cv2.dilate(np.max(alphas, axis=0), near) < 5
    return pictures, person, room


def detail(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Return how much fine detail, in grey levels, a part of a picture, rgb uint8 [H, W, 3], has."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 4)
    return float(np.sqrt(np.mean(fine[mask] ** 2)))


class Page:
    """The page in the browser, in the words of the tests."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, tab: str = "camera", query: str = "") -> Page:
        """Open the page anew at one of its tabs, and wait for the server's facts."""
        self.driver.get("about:blank")
        self.allow_camera("granted")
        self.driver.get(f"{self.address}/{query}#{tab}")
        self.wait(lambda: self.js("return document.getElementById('server').dataset.state") == "live", "the server")
        return self

    def allow_camera(self, setting: str) -> None:
        """Answer the browser's question for the camera: "granted" or "denied"."""
        answer = {"permission": {"name": "camera"}, "setting": setting, "origin": self.address}
        self.driver.execute_cdp_cmd("Browser.setPermission", answer)

    def js(self, code: str, *arguments: Any) -> Any:
        """Run a script."""
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> Any:
        """Return the element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Return the shown text of an element."""
        return str(self.find(selector).text)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
        """Wait until a condition holds and return what it returned."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.1)
        return value

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select, as a hand would."""
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def numbers(self) -> dict[str, Any]:
        """Return the numbers of the Camera tab as the page keeps them; absent where there are none yet."""
        shown = self.js("return {...document.getElementById('stats').dataset}")
        return {key: float(value) for key, value in shown.items() if value and key != "state"} | {
            "state": shown.get("state", "")
        }

    def start_camera(self, size: str = "640x360") -> None:
        """Start the camera and wait until the age of its pictures is read from them."""
        self.choose("#camera-size", size)
        self.js("scrollTo(0, 0)")  # a select further down was scrolled to
        self.find("#start").click()
        self.wait_live()

    def wait_live(self) -> None:
        """Wait until pictures come back and their age is known."""
        self.wait(lambda: self.numbers().get("state") == "live" and "age" in self.numbers(), "the live picture")

    def grab(self, video: str = "#result") -> NDArray[np.uint8]:
        """Return what a video shows at the moment, at its own size, rgb uint8 [H, W, 3]."""
        coded = self.js(
            "const v = document.querySelector(arguments[0]), c = document.createElement('canvas');"
            "c.width = v.videoWidth || v.naturalWidth; c.height = v.videoHeight || v.naturalHeight;"
            "c.getContext('2d').drawImage(v, 0, 0); return c.toDataURL('image/png').split(',')[1];",
            video,
        )
        bgr = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        return np.ascontiguousarray(bgr[..., ::-1])

    def grab_canvas(self, selector: str) -> NDArray[np.uint8]:
        """Return what is drawn on a canvas, rgb uint8 [H, W, 3]."""
        coded = self.js("return document.querySelector(arguments[0]).toDataURL('image/png').split(',')[1]", selector)
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.ascontiguousarray(picture[..., ::-1])

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the page another size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def keys(self, *words: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*words).perform()

    @property
    def focused(self) -> str:
        """The id of what has the focus, or its name."""
        return str(self.js("const e = document.activeElement; return e.id || e.textContent.trim()"))

    def complaints(self) -> list[str]:
        """Return what the console said that is no mere information, since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requested(self) -> list[str]:
        """Return the addresses that were asked for over a network since the last call."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:", "about:"))]
