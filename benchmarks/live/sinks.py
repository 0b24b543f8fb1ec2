"""Live outputs against real peers that refuse, freeze, die and come back: what happens, and how long it takes.

    python benchmarks/live/sinks.py [--rounds 3] [--json FILE] [--markdown FILE]

Peers: FFmpeg, through PyAV, as RTMP and RTSP server and as UDP reader (always); GStreamer's RTSP server and nginx with
its RTMP module where they are installed (apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-libav
gstreamer1.0-plugins-bad nginx-light libnginx-mod-rtmp), named as absent otherwise. All on this machine.

Note [Ratio beside a stalled peer]
    A file sink alone, then the same file sink beside an RTMP sink whose peer has been frozen (SIGSTOP), in turn,
    several rounds; the ratio of their frame rates is taken within each round, and the frames in the files are counted.
    The source is paced at 30 fps and no frame may be dropped, so a sink that waits shows as a lower rate; the pipeline
    has a backend without a network. The control is the same without the isolation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from rtseg.backends.fake import FakeBackend  # noqa: E402  the checkout's own package, and its tests' receivers
from rtseg.errors import RtsegError  # noqa: E402
from rtseg.pipeline.pipeline import Pipeline  # noqa: E402
from rtseg.pipeline.sink_thread import IsolatedSink, isolate  # noqa: E402
from rtseg.segmenter import load  # noqa: E402
from rtseg.sinks import open_sink  # noqa: E402
from rtseg.sinks.base import Sink, StreamFormat  # noqa: E402
from rtseg.sources.base import Source, SourceInfo  # noqa: E402
from rtseg.stats import machine_facts  # noqa: E402
from rtseg.types import Frame  # noqa: E402
from tests.sinks.receivers import (  # noqa: E402
    BeepAndFlash,
    Receiver,
    free_port,
    is_listening,
    offsets,
    wait_until,
)

SIZE_WH = (320, 180)
FRAMES = 300
NGINX_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
GST_PYTHON = "/usr/bin/python3"


class Noise(Source):
    """Frames of noise, 30 a second: much to encode, so that the buffers of a frozen peer fill."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        rng = np.random.default_rng(7)
        self._pictures = [rng.integers(0, 256, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8) for _ in range(8)]

    @property
    def info(self) -> SourceInfo:
        """Facts of the frames."""
        return SourceInfo("noise", "synthetic", False, SIZE_WH, Fraction(1, 30), frame_rate=Fraction(30))

    def open(self) -> None:
        """Nothing to do."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames."""
        began = time.monotonic()
        for index in range(self._count):
            time.sleep(max(0.0, began + index / 30 - time.monotonic()))
            picture = self._pictures[index % len(self._pictures)]
            yield Frame(picture, index, index, Fraction(1, 30), time.monotonic_ns(), "noise")

    def close(self) -> None:
        """Nothing to do."""


# ---- peers ----------------------------------------------------------------------------------------------------


def address(scheme: str) -> str:
    """Return a URL on this machine that nobody uses."""
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    return f"{scheme}://127.0.0.1:{free_port(kind)}" + ("" if scheme == "udp" else "/live/key")


def port_of(url: str) -> int:
    """Return the port in a URL."""
    return int(url.split(":")[2].split("/")[0])


@contextmanager
def peer(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run FFmpeg as the listening server of a URL in a process of its own."""
    words = [sys.executable, str(ROOT / "tests/sinks/receivers.py"), url]
    process = subprocess.Popen(words, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: is_listening(port_of(url)), 30):
            raise SystemExit("the peer does not listen")
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def gst_server(*login: str) -> Iterator[int | None]:
    """Run GStreamer's RTSP server; None where it is not installed."""
    port = free_port()
    words = [GST_PYTHON, str(ROOT / "benchmarks/live/gst_record_server.py"), str(port), *login]
    if not Path(GST_PYTHON).exists():
        yield None
        return
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        ready = process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield port if ready else None
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def nginx_server(folder: Path) -> Iterator[int | None]:
    """Run nginx as an RTMP server with an open application and a closed one; None where it is not installed."""
    if shutil.which("nginx") is None or not NGINX_MODULE.exists():
        yield None
        return
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"load_module {NGINX_MODULE}; daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;"
        f"events {{ worker_connections 64; }} rtmp {{ access_log off; server {{ listen 127.0.0.1:{port};"
        "application live { live on; } application closed { live on; deny publish all; } } }",
        encoding="utf-8",
    )
    process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        yield port if wait_until(lambda: is_listening(port), 5) else None
    finally:
        process.terminate()
        process.wait()


# ---- what is measured -----------------------------------------------------------------------------------------


def feed(sink: IsolatedSink, seconds: float, *, until: Callable[[], bool] = lambda: False, start: int = 0) -> int:
    """Write noise at 30 frames a second for a while, or until something holds; return the next frame's number."""
    source = noise()
    began, index = time.monotonic(), start
    while time.monotonic() - began < seconds and not until():
        frame = source[index % 8]
        sink.write(Frame(frame.picture, index, index, frame.time_base, time.monotonic_ns(), "noise"), None)
        index += 1
        time.sleep(max(0.0, began + (index - start) / 30 - time.monotonic()))
    return index


@cache
def noise() -> list[Frame]:
    """Return eight frames of noise."""
    return list(Noise(8).frames())


def stream_of_noise() -> StreamFormat:
    """Return what sinks are told of the noise."""
    return StreamFormat(
        "noise", SIZE_WH, Fraction(1, 30), Fraction(30), ("a", "b"), ((0, 0, 0), (255, 0, 0)), matrix="bt709"
    )


def isolated(url: str) -> IsolatedSink:
    """Return the sink of a URL on its own thread."""
    (sink,) = isolate([open_sink(url)])
    if not isinstance(sink, IsolatedSink):
        raise SystemExit(f"{url} is no live sink")
    return sink


def beside_a_stalled_peer(rounds: int, folder: Path) -> dict[str, Any]:
    """Measure a file sink alone and beside a frozen peer; see Note [Ratio beside a stalled peer]."""
    ratios, lost = [], 0
    for number in range(rounds):
        alone, missing = run_into(folder / f"alone{number}.mp4", [])
        url = address("rtmp")
        with peer(url) as process:
            live = Frozen(isolated(f"{url}#bitrate=40M"), process)
            beside, more = run_into(folder / f"beside{number}.mp4", [live])
        ratios.append(beside / alone)
        lost += missing + more
    return {
        "fps_ratio": [round(ratio, 3) for ratio in ratios],
        "file_frames_lost": lost,
        "frames": FRAMES * rounds * 2,
        "without_isolation": without_isolation(folder / "control.mp4"),
    }


def without_isolation(path: Path) -> str:
    """Do the same with the bare sink, as a control: how the run ends."""
    url = address("rtmp")
    with peer(url) as process:
        bare = open_sink(f"{url}#bitrate=40M")
        connect = bare.open

        def open_then_freeze(stream: StreamFormat) -> None:
            connect(stream)
            process.send_signal(signal.SIGSTOP)

        bare.open = open_then_freeze  # type: ignore[method-assign]
        began = time.monotonic()
        try:
            fps, missing = run_into(path, [bare])
        except RtsegError as error:
            return f"the run ends after {time.monotonic() - began:.1f} s: {error}"
    return f"{fps:.1f} fps, {missing} frames missing"


class Frozen(IsolatedSink):
    """An isolated sink whose peer is frozen once it is connected."""

    def __init__(self, sink: IsolatedSink, process: subprocess.Popen[bytes]) -> None:
        super().__init__(sink.inner)
        self._process = process

    def open(self, stream: Any) -> None:
        """Connect, then freeze the peer."""
        super().open(stream)
        self._process.send_signal(signal.SIGSTOP)


def run_into(path: Path, others: list[Sink]) -> tuple[float, int]:
    """Run noise into a file and other sinks; return the rate of the run and how many frames the file lacks."""
    with load("person", backend=FakeBackend(), smoothing=False, edges=False) as segmenter:
        pipeline = Pipeline(Noise(FRAMES), segmenter, sinks=[open_sink(path), *others])
        stats = pipeline.run()
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(video=0))
    return float(stats.fps or 0.0), FRAMES - count


def frozen_peer(scheme: str) -> dict[str, Any]:
    """Freeze a peer: how long until that is noticed, and how long a stop takes meanwhile and afterwards."""
    url = address(scheme)
    with peer(url) as process:
        sink = isolated(f"{url}#bitrate=40M")
        sink.open(stream_of_noise())
        index = feed(sink, 1.0)
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        feed(sink, 60, until=lambda: sink.state != "live", start=index)
        noticed = time.monotonic() - began
        stopped = timed(sink.close)
    with peer(url := address(scheme)) as process:
        sink = isolated(f"{url}#bitrate=40M")
        sink.open(stream_of_noise())
        process.send_signal(signal.SIGSTOP)
        feed(sink, 4.0)
        stuck = timed(sink.close)
    return {
        "noticed_seconds": round(noticed, 2),
        "stop_while_stuck_seconds": round(stuck, 2),
        "stop_while_reconnecting_seconds": round(stopped, 2),
    }


def killed_peer(scheme: str, away_seconds: float = 3.0) -> dict[str, Any]:
    """Kill a peer and start it again: how long until it is noticed, and from listening to the first sent frame."""
    url = address(scheme)
    sink = isolated(url)
    with peer(url) as process:
        sink.open(stream_of_noise())
        index = feed(sink, 1.0)
        process.kill()
        began = time.monotonic()
        index = feed(sink, 20, until=lambda: sink.state != "live", start=index)
        noticed = time.monotonic() - began
    index = feed(sink, away_seconds, start=index)
    with peer(url):
        began, sent = time.monotonic(), sink.sent
        feed(sink, 60, until=lambda: sink.sent > sent, start=index)
        back = time.monotonic() - began
    sink.abort()
    return {
        "noticed_seconds": round(noticed, 2),
        "back_after_listening_seconds": round(back, 2),
        "reconnects": sink.reconnects,
    }


def lips(scheme: str, late_seconds: float) -> float:
    """Return the largest distance, in ms, of beep and flash at the receiver, of a picture that is so late."""
    receiver = Receiver(address(scheme)).start()
    source = BeepAndFlash()
    sink = open_sink(receiver.url)
    sink.open(source.stream)
    began = time.monotonic()
    for index in range(300):
        sink.write(source.frame(index, sound_ahead_seconds=late_seconds), None)
        time.sleep(max(0.0, began + index / 30 / 3 - time.monotonic()))
    sink.close()
    found = offsets(receiver.finished())
    if len(found) < 9:
        raise SystemExit(f"{scheme}: {len(found)} flashes with a beep; expected 9")
    return round(1000 * max(map(abs, found)), 2)


def delay(scheme: str) -> dict[str, float]:
    """Return p50 and p99 of the time, in ms, from `write` to the picture decoded by FFmpeg in this process."""
    receiver = Receiver(address(scheme)).start()
    source = BeepAndFlash(size_wh=SIZE_WH)
    sink = isolated(f"{receiver.url}#audio=off")
    sink.open(source.stream)
    written = []
    began = time.monotonic()
    for index in range(300):
        written.append(time.monotonic())
        sink.write(source.frame(index), None)
        time.sleep(max(0.0, began + index / 30 - time.monotonic()))
    sink.close()
    got = receiver.finished()
    waits = [arrived - written[round(30 * at)] for at, arrived in zip(got.times, got.arrived, strict=True)][60:]
    return {"p50": round(1000 * statistics.median(waits), 1), "p99": round(1000 * float(np.quantile(waits, 0.99)), 1)}


def refusal(url: str) -> dict[str, Any]:
    """Open a sink that cannot be opened: the message, and how long it took."""
    sink = open_sink(url)
    began = time.monotonic()
    try:
        sink.open(BeepAndFlash().stream)
    except RtsegError as error:
        return {"message": str(error), "seconds": round(time.monotonic() - began, 2)}
    sink.abort()
    raise SystemExit(f"{url}: it opened")


def refusals(folder: Path) -> dict[str, Any]:
    """Try every way of not getting in that there is a peer for."""
    found = {
        "refused": refusal(f"rtmp://127.0.0.1:{free_port()}/live/key"),
        "no such host": refusal("rtsp://no-such-host.invalid/live"),
    }
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found["no answer"] = refusal(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live")
    with gst_server("user", "right-password") as port:
        if port is not None:
            found["wrong password (GStreamer)"] = refusal(f"rtsp://user:wrong-password@127.0.0.1:{port}/live")
            found["no password (GStreamer)"] = refusal(f"rtsp://127.0.0.1:{port}/live")
            found["right password (GStreamer)"] = accepted(f"rtsp://user:right-password@127.0.0.1:{port}/live")
    with gst_server() as port:
        if port is not None:
            found["no such path (GStreamer)"] = refusal(f"rtsp://127.0.0.1:{port}/nothing")
    with nginx_server(folder) as port:
        if port is not None:
            found["no such application (nginx)"] = refusal(f"rtmp://127.0.0.1:{port}/nothing/key")
            found["not allowed (nginx)"] = refusal(f"rtmp://127.0.0.1:{port}/closed/key")
            found["stream key in use (nginx)"] = in_use(f"rtmp://127.0.0.1:{port}/live/key")
    return found


def accepted(url: str) -> dict[str, Any]:
    """Send for two seconds to a peer that must take it."""
    source = BeepAndFlash()
    sink = open_sink(url)
    began = time.monotonic()
    sink.open(source.stream)
    opened = time.monotonic() - began
    for index in range(60):
        sink.write(source.frame(index), None)
        time.sleep(1 / 30)
    sink.close()
    return {"message": "accepted, 60 frames with sound sent", "seconds": round(opened, 2)}


def in_use(url: str) -> dict[str, Any]:
    """Send to a key to which somebody else is sending."""
    first = open_sink(url)
    first.open(BeepAndFlash().stream)
    try:
        return refusal(url)
    finally:
        first.close()


def timed(step: Callable[[], None]) -> float:
    """Return how long a step takes, in seconds."""
    began = time.monotonic()
    step()
    return time.monotonic() - began


# ---- report ---------------------------------------------------------------------------------------------------


def measure(rounds: int) -> dict[str, Any]:
    """Do everything, saying what is being done."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result: dict[str, Any] = {"machine": machine_facts(), "load_average_before": round(os.getloadavg()[0], 1)}
        for title, step in (
            ("refusals", lambda: refusals(folder)),
            ("lips_ms", lambda: {f"{s}, {late:g} s late": lips(s, late) for s in SCHEMES for late in (0.05, 3.0)}),
            ("delay_ms", lambda: {scheme: delay(scheme) for scheme in SCHEMES}),
            ("killed", lambda: {scheme: killed_peer(scheme) for scheme in ("rtmp", "rtsp")}),
            ("frozen", lambda: {scheme: frozen_peer(scheme) for scheme in ("rtmp", "rtsp")}),
            ("beside_a_frozen_peer", lambda: beside_a_stalled_peer(rounds, folder)),
        ):
            result[title] = step()
            print(f"{title}: {json.dumps(result[title])}", flush=True)
    return result


SCHEMES = ("rtmp", "rtsp", "udp")
HEAD = """# Live outputs against real peers

`chrt -f 3 python benchmarks/live/sinks.py --json benchmarks/results/live-sinks-2core-2026-11-28.json
--markdown benchmarks/live/sinks.md`

{cpu}, {cores} cores that other work shared (load average {load} at the start, hence `chrt`), PyAV {av}. Peers on the
same machine. What is measured how: the script's docstrings. FFmpeg as a receiver of RTSP and MPEG-TS gives a picture
once the next one begins, so 33 ms of those delays are its own; RTMP says where a picture ends.
"""


def markdown(result: dict[str, Any]) -> str:
    """Return the result as a page."""
    machine = result["machine"]
    beside = result["beside_a_frozen_peer"]
    rows = ["| what | measured |", "|---|---|"]
    ratios = ", ".join(f"{ratio:.2f}" for ratio in beside["fps_ratio"])
    rows.append(f"| file sink beside a frozen RTMP peer: its rate / alone, by round | {ratios} |")
    rows.append(f"| control, the same without its own thread | {beside['without_isolation']} |")
    rows.append(f"| frames missing in those files | {beside['file_frames_lost']} of {beside['frames']} |")
    for scheme, found in result["killed"].items():
        rows.append(f"| {scheme}: peer killed, noticed after | {found['noticed_seconds']} s |")
        rows.append(
            f"| {scheme}: peer back after 3 s, from its listening to the next frame sent | "
            f"{found['back_after_listening_seconds']} s |"
        )
    for scheme, found in result["frozen"].items():
        rows.append(
            f"| {scheme}: peer frozen (SIGSTOP), given up after (buffers first) | {found['noticed_seconds']} s |"
        )
        rows.append(f"| {scheme}: stop while a send is stuck | {found['stop_while_stuck_seconds']} s |")
        rows.append(f"| {scheme}: stop while reconnecting | {found['stop_while_reconnecting_seconds']} s |")
    rows += [f"| lips, {name} | {offset} ms off at most |" for name, offset in result["lips_ms"].items()]
    rows += [
        f"| {scheme}: from `write` to decoded at the receiver | p50 {found['p50']} ms, p99 {found['p99']} ms |"
        for scheme, found in result["delay_ms"].items()
    ]
    refusals_table = ["| peer | message | after |", "|---|---|---|"]
    refusals_table += [
        f"| {name} | {found['message']} | {found['seconds']} s |" for name, found in result["refusals"].items()
    ]
    head = HEAD.format(
        cpu=machine["cpu"],
        cores=machine["cores"],
        load=result["load_average_before"],
        av=machine["versions"].get("av"),
    )
    return "\n".join([head, *rows, "", "## Not getting in", "", *refusals_table, ""])


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    words = parser.parse_args()
    result = measure(words.rounds)
    if words.json is not None:
        words.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if words.markdown is not None:
        words.markdown.write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
