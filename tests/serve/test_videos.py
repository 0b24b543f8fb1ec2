"""Videos: in, worked on, out, away; within bounds."""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import cv2
import numpy as np
import pytest

from tests.conftest import write_clip
from tests.serve.parts import Answer, ServerUnderTest, small_limits

FRAMES = 12
SMALL = small_limits(video_seconds=20.0, video_pixels=640 * 480)

pytestmark = pytest.mark.timeout(180)  # beside everything else that runs on the machine


@pytest.fixture(scope="module")
def video_server():
    with ServerUnderTest(backend="fake", limits=SMALL) as server:
        yield server


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=FRAMES).read_bytes()


def wait_for(server: ServerUnderTest, job: str, state: str = "done", seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (shown := server.ask("GET", f"/api/videos/{job}").json)["state"] != state:
        assert shown["state"] in ("queued", "running"), shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def upload(server: ServerUnderTest, content: bytes, query: str = "") -> Answer:
    return server.ask("POST", f"/api/videos{query}", content, timeout_seconds=60)


@pytest.fixture(scope="module")
def done(video_server, clip_bytes) -> dict[str, Any]:
    answer = upload(video_server, clip_bytes, f"?name=my%20drive.mp4&settings={quote(json.dumps({'effect': 'tint'}))}")
    assert answer.status == 201, answer
    assert answer.json["state"] in ("queued", "running")
    return wait_for(video_server, answer.json["job"])


def test_all_that_is_made_can_be_had(video_server, done, tmp_path):
    path = f"/api/videos/{done['job']}"
    assert done["frames_done"] == FRAMES
    assert done["name"] == "my drive.mp4"
    assert all(done["has"].values())
    assert done["settings"]["effect"] == "tint"
    result = video_server.ask("GET", f"{path}/result.mp4")
    assert result.headers["content-type"] == "video/mp4"
    assert "my drive.result.mp4" in result.headers["content-disposition"].replace("%20", " ")
    assert result.body.index(b"moov") < result.body.index(b"mdat")  # a browser can begin before it has it all
    with av.open(io.BytesIO(result.body)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
    rows = list(csv.DictReader(io.StringIO(video_server.ask("GET", f"{path}/shares.csv").body.decode())))
    assert [row["frame_index"] for row in rows] == [str(index) for index in range(FRAMES)]
    assert all(abs(float(row["background"]) + float(row["person"]) - 1) < 1e-4 for row in rows)
    shares = video_server.ask("GET", f"{path}/shares.json").json
    assert shares["classes"] == ["background", "person"]
    assert len(shares["times"]) == len(shares["shares"]) == FRAMES
    assert shares["shares"][3] == pytest.approx([float(rows[3]["background"]), float(rows[3]["person"])], abs=1e-4)
    with zipfile.ZipFile(io.BytesIO(video_server.ask("GET", f"{path}/masks.zip").body)) as archive:
        assert len(archive.namelist()) == FRAMES + 1
        mask = cv2.imdecode(np.frombuffer(archive.read("000000.png"), np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask.shape[:2] == (64, 96)
        index = [json.loads(line) for line in archive.read("index.jsonl").decode().splitlines()]
        assert [line["file"] for line in index] == [f"{number:06d}.png" for number in range(FRAMES)]


def test_the_table_comes_as_parquet_too(video_server, done):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(video_server.ask("GET", f"/api/videos/{done['job']}/shares.parquet").body))
    assert table.column_names == ["frame_index", "seconds", "background", "person"]
    assert table.num_rows == FRAMES


def test_parts_of_a_file_are_answered(video_server, done, clip_bytes):
    path = f"/api/videos/{done['job']}/source.mp4"
    whole = video_server.ask("GET", path)
    assert whole.body == clip_bytes  # it plays as it is
    part = video_server.ask("GET", path, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, clip_bytes[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(clip_bytes)}"
    assert video_server.ask("GET", path, headers={"Range": "bytes=99999999-"}).status == 416


def test_something_else_is_made_of_the_same_upload(video_server, done):
    path = f"/api/videos/{done['job']}"
    first = video_server.ask("GET", f"{path}/result.mp4").body
    assert video_server.ask("POST", f"{path}/render", {"effect": "glitter"}).status == 400
    again = video_server.ask("POST", f"{path}/render", {"effect": "replace", "color": "#00ff00"})
    assert again.json["state"] in ("queued", "running")
    wait_for(video_server, done["job"])
    assert video_server.ask("GET", f"{path}/result.mp4").body != first
    assert len(list((video_server.room.folder / f"video-{done['job']}").glob("render-*"))) == 1


def test_what_a_browser_does_not_play_gets_a_copy_that_it_does(video_server, tmp_path):
    made = write_clip(tmp_path / "clip.mkv", frames=5)
    job = upload(video_server, made.read_bytes()).json["job"]
    shown = wait_for(video_server, job)
    assert shown["has"]["source.mp4"]
    copy = video_server.ask("GET", f"/api/videos/{job}/source.mp4").body
    assert copy[4:8] == b"ftyp"
    with av.open(io.BytesIO(copy)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
        assert len(container.streams.audio) == 1
    assert video_server.ask("DELETE", f"/api/videos/{job}").status == 200
    assert video_server.ask("GET", f"/api/videos/{job}").status == 404
    assert not (video_server.room.folder / f"video-{job}").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x.mp4", "a\u0000b\nc.mp4", "x" * 5000])
def test_names_never_become_paths(video_server, clip_bytes, name):
    answer = upload(video_server, clip_bytes, f"?name={quote(name)}")
    assert answer.status == 201
    job = answer.json
    assert len(job["name"]) <= 80
    assert job["name"].isprintable()
    wait_for(video_server, job["job"])
    files = [path.relative_to(video_server.room.folder) for path in video_server.room.folder.rglob("*")]
    assert all(part.isascii() and "passwd" not in part for path in files for part in path.parts)
    for trick in ("..%2f..%2fupload", "upload", "%2e%2e", "result.mp4%00"):
        assert video_server.ask("GET", f"/api/videos/{job['job']}/{trick}").status == 404
    video_server.ask("DELETE", f"/api/videos/{job['job']}")


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/hostname'\n"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"not a video at all" * 100, 400),
        (PLAYLIST, 400),
        (CONCAT, 400),
        (b"\x00" * 10_000, 400),
        (b"x" * 4_200_000, 413),
    ],
    ids=["empty", "text", "playlist", "concat", "zeros", "large"],
)
def test_what_is_no_video_is_refused_and_leaves_nothing(video_server, content, status):
    before = sorted(video_server.room.folder.iterdir())
    answer = upload(video_server, content)
    assert answer.status == status
    assert "expected" in answer.json["error"]
    assert sorted(video_server.room.folder.iterdir()) == before


def test_too_long_and_too_large_videos_are_refused(video_server, tmp_path):
    long = write_clip(tmp_path / "long.mp4", frames=30, fps=1, size_wh=(32, 32)).read_bytes()
    assert "30 s" in upload(video_server, long).json["error"]
    large = write_clip(tmp_path / "large.mp4", frames=2, size_wh=(1280, 720)).read_bytes()
    assert "1280x720" in upload(video_server, large).json["error"]


def test_a_broken_video_fails_with_one_line(video_server, clip_bytes, tmp_path):
    broken = bytearray(clip_bytes)
    start = broken.index(b"mdat") + 4
    broken[start : broken.index(b"moov") - 4] = bytes(broken.index(b"moov") - 4 - start)
    answer = upload(video_server, bytes(broken))
    if answer.status == 201:
        shown = wait_for(video_server, answer.json["job"], "failed")
        assert "expected" in shown["error"]
        assert "/" not in shown["error"].replace("and/or", "")
        assert video_server.ask("GET", f"/api/videos/{shown['job']}/result.mp4").status == 404
        video_server.ask("DELETE", f"/api/videos/{shown['job']}")
    else:
        assert answer.status == 400


def test_one_at_a_time_and_any_can_be_cancelled(tmp_path, monkeypatch):
    from rtseg.serve import render_job

    gates = []
    real = render_job.RenderJob.run

    def slowly(self):
        gates.append(self)
        while len(gates) < 2 and not self._cancelled.is_set():
            time.sleep(0.02)
        real(self)

    monkeypatch.setattr(render_job.RenderJob, "run", slowly)
    content = write_clip(tmp_path / "clip.mp4", frames=4).read_bytes()
    with ServerUnderTest(backend="fake", limits=small_limits(jobs=3)) as server:
        first, second, third = (upload(server, content).json["job"] for _ in range(3))
        deadline = time.monotonic() + 20
        while not gates and time.monotonic() < deadline:
            time.sleep(0.02)
        states = [server.ask("GET", f"/api/videos/{job}").json["state"] for job in (first, second, third)]
        assert states == ["running", "queued", "queued"]
        assert upload(server, content).status == 429
        assert server.ask("DELETE", f"/api/videos/{second}").json["state"] == "cancelled"
        assert server.ask("DELETE", f"/api/videos/{first}").status == 200
        wait_for(server, first, "cancelled")
        wait_for(server, third)
        assert len(gates) == 2  # the cancelled one was never begun
        assert upload(server, content).status == 201  # the oldest that has ended makes room


def test_what_nobody_asks_for_expires(clip_bytes):
    with ServerUnderTest(backend="fake", limits=small_limits(job_seconds=100.0)) as server:
        job = upload(server, clip_bytes).json["job"]
        wait_for(server, job)
        folder = server.room.folder / f"video-{job}"
        server.in_loop(lambda: server.room.jobs.sweep(time.monotonic() + 50))
        assert folder.exists()
        server.in_loop(lambda: server.room.jobs.sweep(time.monotonic() + 150))
        assert not folder.exists()
        assert server.ask("GET", f"/api/videos/{job}").status == 404


def test_the_folder_is_the_owners_alone_and_goes_with_the_server(clip_bytes):
    with ServerUnderTest(backend="fake") as server:
        folder: Path = server.room.folder
        upload(server, clip_bytes)
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert server.ended_in_seconds < 4
