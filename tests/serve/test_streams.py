"""Streams of the command line: one pipeline while somebody watches, shared by all, and nothing left behind."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time

import cv2
import numpy as np
import psutil
import pytest

from rtseg.errors import RtsegError
from rtseg.serve import streams as module
from rtseg.serve.looped import LoopedSource
from rtseg.serve.settings import Settings
from rtseg.serve.streams import named_streams, source_maker
from tests.conftest import write_clip
from tests.serve.parts import Browser, ServerUnderTest, run, small_limits, wait_until

pytestmark = pytest.mark.timeout(180)  # beside everything else that runs on the machine

DESK = "desk=synthetic:desk?size=160x120&fps=15"


def jpegs_of(server: ServerUnderTest, count: int, name: str = "desk") -> list[np.ndarray]:
    """Take pictures of the MJPEG stream, then hang up."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", f"/stream/{name}.mjpg")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
        pictures = []
        while len(pictures) < count:
            assert answer.readline().startswith(b"--")
            length = 0
            while (line := answer.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            coded = np.frombuffer(answer.read(length), np.uint8)
            pictures.append(cv2.imdecode(coded, cv2.IMREAD_COLOR))
            answer.readline()
        return pictures
    finally:
        connection.close()


class SlowRoom:
    """A room in which the first change takes longer than the second."""

    def __init__(self) -> None:
        self.first_settings = Settings(model="street", effect="none")
        self.loop = asyncio.get_running_loop()
        self._waits = [0.1, 0.0]

    async def drawing(self, settings: Settings) -> tuple[None, tuple[()]]:
        await asyncio.sleep(self._waits.pop(0))
        return None, ()


def test_changes_of_two_viewers_at_once_are_both_kept():
    async def both() -> Settings:
        stream = module.Stream(SlowRoom(), "desk", lambda: None, "")
        await asyncio.gather(stream.change({"effect": "tint"}), stream.change({"smoothing": False}))
        return stream.settings

    settings = asyncio.run(both())
    assert (settings.effect, settings.smoothing) == ("tint", False)


def test_mjpeg_shows_moving_pictures_of_the_stream(server):
    pictures = jpegs_of(server, 4)
    assert {picture.shape for picture in pictures} == {(120, 160, 3)}
    assert not np.array_equal(pictures[0], pictures[-1])
    assert server.ask("GET", "/stream/nothing.mjpg").status == 404
    head = server.ask("HEAD", "/stream/desk.mjpg")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["cross-origin-resource-policy"] == "cross-origin"  # an <img> of a dashboard may show it
    assert server.ask("GET", "/api/streams").headers["cross-origin-resource-policy"] == "same-origin"


def test_work_stops_when_nobody_watches_and_starts_again(server, monkeypatch):
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.2)
    stream = server.room.streams["desk"]

    def rests() -> bool:
        return stream.runner is None and not any(t.name == "rtseg-stream" for t in threading.enumerate())

    async def wait() -> None:
        await wait_until(rests, 15)

    jpegs_of(server, 1)
    run(wait())
    frames_before = stream.sink.ages.count
    began = time.monotonic()
    jpegs_of(server, 1)
    started_in_seconds = time.monotonic() - began
    run(wait())
    assert server.ask("GET", "/api/streams").json[0]["state"] == "idle"
    frames_after = stream.sink.ages.count
    assert frames_after > frames_before
    time.sleep(0.5)
    assert stream.sink.ages.count == frames_after
    assert started_in_seconds < 20  # less than one on a machine with nothing else to do: benchmarks/live/viewers.py


def test_viewers_share_one_pipeline_and_see_changes_without_a_new_connection(server):
    async def work() -> None:
        viewers = [await Browser(server).start("/api/streams/desk/offer") for _ in range(2)]
        try:
            for viewer in viewers:
                await viewer.wait_for_frames(4)
            assert sum(thread.name == "rtseg-stream" for thread in threading.enumerate()) == 1
            assert green_share(viewers[0].frames[-1]) == 0
            answer = await viewers[0].ask("PATCH", "/api/streams/desk", {"effect": "replace", "color": "#00ff00"})
            assert answer.status == 200
            for viewer in viewers:
                await wait_until(lambda viewer=viewer: green_share(viewer.frames[-1]) > 0.03, 30)
            shown = (await viewers[0].ask("GET", "/api/streams")).json[0]
            assert shown["viewers"] == 2
            assert shown["state"] == "live"
            assert shown["size_wh"] == [160, 120]
            await viewers[0].ask("DELETE", f"/api/viewers/{viewers[0].answer['viewer']}")
            await wait_until(lambda: len(server.room.viewers) == 1)
            await viewers[1].wait_for_frames(3)
        finally:
            for viewer in viewers:
                await viewer.close()

    run(work())


def green_share(rgb: np.ndarray) -> float:
    """The share of pixels that are much greener than red."""
    return float((rgb[..., 1].astype(int) - rgb[..., 0] > 80).mean())


def test_one_viewer_more_than_there_may_be_is_refused():
    with ServerUnderTest(streams=(DESK,), limits=small_limits(viewers=2), backend="fake") as server:

        async def work() -> None:
            viewers = [await Browser(server).start("/api/streams/desk/offer") for _ in range(2)]
            third = Browser(server)
            refused = await third.ask("POST", "/api/streams/desk/offer", {"sdp": await third.offer(), "type": "offer"})
            assert refused.status == 429
            assert (await third.ask("GET", "/stream/desk.mjpg")).status == 429
            await viewers[0].ask("DELETE", f"/api/viewers/{viewers[0].answer['viewer']}")
            fourth = await Browser(server).start("/api/streams/desk/offer")  # the control: there is room again
            for viewer in (*viewers, third, fourth):
                await viewer.close()

        run(work())


def test_viewers_who_come_and_go_leave_nothing_behind(monkeypatch):
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.2)  # the real patience is held in test_camera.py
    this = psutil.Process()

    async def one_round(server: ServerUnderTest) -> None:
        viewers = [await Browser(server).start("/api/streams/desk/offer") for _ in range(3)]
        await asyncio.gather(*(viewer.wait_for_frames(2) for viewer in viewers))
        await viewers[0].vanish()
        for viewer in viewers:
            await viewer.close()
        await wait_until(lambda: not server.room.viewers, 12)
        await wait_until(lambda: server.room.streams["desk"].runner is None, 12)

    with ServerUnderTest(streams=(DESK,), backend="fake") as server:

        def held() -> tuple[int, int, int]:
            tasks = server.in_loop(lambda: len(asyncio.all_tasks(server.loop)))
            return tasks, threading.active_count(), this.num_fds()

        run(one_round(server))
        before = held()
        for _ in range(2):
            run(one_round(server))
        deadline = time.monotonic() + 5
        while any(now > then for now, then in zip(held(), before, strict=True)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert all(now <= then for now, then in zip(held(), before, strict=True)), (held(), before)


def test_a_viewer_who_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr("rtseg.serve.guard.SEND_SECONDS", 0.5)
    monkeypatch.setattr("rtseg.serve.server.SEND_BUFFER_BYTES", 4096)
    with ServerUnderTest(streams=("desk=synthetic:desk?size=320x240&fps=20",), backend="fake") as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"GET /stream/desk.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            run(wait_until(lambda: server.room.streams["desk"].sink.ages.count > 2, 30))
            assert len(server.room.mjpeg) == 1
            run(wait_until(lambda: not server.room.mjpeg, 30))
        assert len(jpegs_of(server, 2)) == 2  # others go on


def test_a_stream_that_fails_says_why_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.3)
    clip = write_clip(tmp_path / "secret place.mp4", frames=5, size_wh=(64, 48))
    with ServerUnderTest(streams=(f"clip={clip}",), backend="fake") as server:
        assert server.ask("GET", "/api/streams").json[0]["detail"] == "secret place.mp4, in a loop"
        content = clip.read_bytes()
        clip.write_bytes(b"nothing of a video")
        watching = threading.Thread(target=lambda: jpegs_of(server, 1, "clip"))
        watching.start()
        deadline = time.monotonic() + 10
        while (shown := server.ask("GET", "/api/streams").json[0])["state"] != "failed":
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        assert "expected" in shown["detail"]
        clip.write_bytes(content)
        watching.join(15)
        assert not watching.is_alive()


def test_streams_have_names_without_secrets():
    specs = ("front=rtsp://u:p@cam/1", "rtsp://user:secret@10.0.0.1/live?token=abc", "synthetic:desk", "synthetic:desk")
    named = named_streams((*specs, "0"))
    assert list(named.values()) == ["rtsp://u:p@cam/1", *specs[1:], "0"]
    assert next(iter(named)) == "front"
    assert list(named)[2:] == ["desk", "desk-2", "camera0"]
    assert not any(secret in name for name in named for secret in ("secret", "user", "abc"))


def test_what_is_not_there_is_said_before_anything_is_served(tmp_path):
    for wrong in (str(tmp_path / "none.mp4"), "synthetic:moon"):
        with pytest.raises(RtsegError), ServerUnderTest(streams=(wrong,)):
            pass


def test_a_password_is_shown_nowhere():
    _, detail = source_maker("rtsp://admin:hunter2@127.0.0.1:1/live", {})
    assert "hunter2" not in detail
    assert "127.0.0.1" in detail
    with ServerUnderTest(streams=("rtsp://admin:hunter2@127.0.0.1:1/live?token=verysecret",), backend="fake") as server:
        texts = [server.ask("GET", path).body for path in ("/api/info", "/api/streams", "/api/stats", "/metrics")]
        assert not any(b"hunter2" in text or b"verysecret" in text for text in texts)


def test_files_are_looped_and_scenes_have_no_end(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=5, size_wh=(64, 48))
    make, _ = source_maker(str(clip), {})
    assert isinstance(make(), LoopedSource)
    make, _ = source_maker("synthetic:desk?size=64x48", {})
    with make() as source:
        assert source.info.live
        assert source.info.frame_count is None
