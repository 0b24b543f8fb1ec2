"""What rtseg does when a live source misbehaves, with real peers, measured.

GStreamer's RTSP server, the ffmpeg program and servers made with PyAV send to `rtseg` pipelines on this machine; they
are killed, restarted, frozen with SIGSTOP, lose and garble packets, change size, ask for a password, or say nothing.
The engine is the fake backend: what is timed is the source side, up to the first new mask at a sink.

    python benchmarks/live/faults.py [--json FILE] [--readme]          # --readme: write the table into README.md
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import rtseg  # noqa: E402
from benchmarks.live import senders  # noqa: E402
from rtseg.errors import RtsegError  # noqa: E402
from rtseg.pipeline.pipeline import Pipeline  # noqa: E402
from rtseg.pipeline.together import Together  # noqa: E402
from rtseg.segmenter import Segmenter  # noqa: E402
from rtseg.sinks.base import Sink, StreamFormat  # noqa: E402
from rtseg.stats import machine_facts  # noqa: E402
from rtseg.types import Frame, Segmentation  # noqa: E402

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
PATIENCE_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    peer: str
    fault: str
    seen: str
    seconds: float | None
    most_seconds: float | None
    """What the issue allows; None: it says nothing."""
    holds: bool


class Looker(Sink):
    """Notes when new and held frames arrive."""

    name = "looker"

    def __init__(self) -> None:
        self.fresh: list[float] = []
        self.held: list[float] = []
        self.sizes: list[tuple[int, int]] = []

    def open(self, stream: StreamFormat) -> None:
        """Do nothing."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Note a frame."""
        (self.held if frame.held else self.fresh).append(time.monotonic())
        self.sizes.append(frame.size_wh)

    def close(self) -> None:
        """Do nothing."""


class Watched:
    """A pipeline in a thread, with the questions that the rows ask of it."""

    def __init__(self, url: str, segmenter: Segmenter, **options: Any) -> None:
        self.sink = Looker()
        source: Any = rtseg.open_source(url, **options)
        self.connected: list[float] = []
        connect = source._connect

        def noted() -> Any:
            container = connect()
            self.connected.append(time.monotonic())
            return container

        source._connect = noted
        self.pipeline = Pipeline(source, segmenter, sinks=[self.sink])
        self.together = Together([self.pipeline])

    def __enter__(self) -> Watched:
        self.started = time.monotonic()
        self.together.start()
        self.first_seconds = self.until(lambda: bool(self.sink.fresh))
        return self

    def __exit__(self, *_: object) -> None:
        self.pipeline.stop()
        self.together.wait()

    def until(self, happened: Callable[[], bool]) -> float:
        """Return how long it took until something happened; fail loudly where it never does."""
        started = time.monotonic()
        while not happened():
            if time.monotonic() - started > PATIENCE_SECONDS or not self.together.is_running:
                raise TimeoutError(f"never happened: {self.pipeline.source_detail} {self.together.outcomes}")
            time.sleep(0.005)
        return time.monotonic() - started

    def until_state(self, *states: str) -> float:
        """Return how long it took until the source was in one of these states."""
        return self.until(lambda: self.pipeline.source_state in states)

    def until_fresh(self) -> float:
        """Return how long it took until the next new frame arrived at the sink."""
        before = len(self.sink.fresh)
        return self.until(lambda: len(self.sink.fresh) > before)

    def fps_over(self, seconds: float) -> float:
        """Return the rate of new frames over the next seconds."""
        before = len(self.sink.fresh)
        time.sleep(seconds)
        return (len(self.sink.fresh) - before) / seconds


def timed(peer: str, fault: str, seen: str, seconds: float, most: float | None, *, also: bool = True) -> Row:
    """Return a row that holds where the time is within the bound."""
    return Row(peer, fault, seen, round(seconds, 2), most, (most is None or seconds <= most) and also)


def held_rate(watched: Watched) -> str:
    """Return how many held frames a second the sink got during the last silence."""
    held = [at for at in watched.sink.held if at > watched.sink.fresh[-1]]
    return (
        f"{(len(held) - 1) / max(0.1, held[-1] - held[0]):.1f} held frames a second" if len(held) > 1 else "none held"
    )


# ---- the rows -----------------------------------------------------------------------------------------------------


def rtsp_rows(segmenter: Segmenter) -> Iterator[Row]:
    """Kill, restart and freeze GStreamer's RTSP server."""
    peer, port = "RTSP, GStreamer", senders.free_port()
    server = senders.rtsp_server(port)
    with ExitStack() as stack:
        stack.callback(lambda: server.kill())
        watched = stack.enter_context(Watched(f"rtsp://127.0.0.1:{port}/live", segmenter))
        yield timed(peer, "started", "first mask after the start of the run", watched.first_seconds, None)
        time.sleep(2)
        server.kill()
        yield timed(peer, "killed", "reconnecting", watched.until_state("stalled", "reconnecting"), 2.5)
        time.sleep(4)
        held = held_rate(watched)
        server = senders.rtsp_server(port)
        whole = watched.until_fresh()
        after = watched.sink.fresh[-1] - watched.connected[-1]
        yield timed(peer, "restarted", f"first mask after the first successful connect ({held})", after, 3.0)
        yield timed(peer, "restarted", "first mask after the server was up (tries after 1, 2, 4 s …)", whole, 9.0)
        time.sleep(2)
        server.freeze()
        yield timed(peer, "frozen (SIGSTOP)", "stalled", watched.until_state("stalled", "reconnecting"), 2.5)
        time.sleep(4)
        held = held_rate(watched)
        server.thaw()
        yield timed(peer, "thawed after 6 s", f"first mask ({held})", watched.until_fresh(), None)
        time.sleep(2)
        server.freeze()
        time.sleep(1.0)
        server.thaw()
        seconds = watched.until_fresh()
        alive = watched.pipeline.source_state == "live"
        yield timed(peer, "frozen for 1 s", "goes on without reconnecting", seconds, 2.0, also=alive)
        started = time.monotonic()
        watched.pipeline.stop()
        watched.together.wait()
        yield timed(peer, "stop while reading", "ended, no thread left", time.monotonic() - started, 2.0)


def udp_rows(segmenter: Segmenter) -> Iterator[Row]:
    """Kill and restart an ffmpeg that sends MPEG-TS over UDP; lose and garble what it sends."""
    peer, port = "UDP, ffmpeg", senders.free_port()
    with senders.UdpRelay(port) as relay, ExitStack() as stack:
        target = f"udp://127.0.0.1:{relay.port}?pkt_size=1316"
        sender = senders.ffmpeg_sender(target)
        stack.callback(lambda: sender.kill())
        watched = stack.enter_context(Watched(f"udp://127.0.0.1:{port}", segmenter))
        yield timed(peer, "started", "first mask after the start of the run", watched.first_seconds, None)
        time.sleep(2)
        whole = watched.fps_over(4)
        for name in ("drop_share", "garble_share"):
            setattr(relay, name, 0.03)
            fps = watched.fps_over(6)
            setattr(relay, name, 0.0)
            word = "lost" if name == "drop_share" else "garbled"
            seen = f"{fps:.1f} masks a second (whole: {whole:.1f}), no reconnection"
            yield Row(peer, f"3 % of datagrams {word}", seen, None, None, fps > 0.5 * whole)
        time.sleep(1)
        sender.kill()
        yield timed(peer, "killed", "stalled", watched.until_state("stalled", "reconnecting"), 2.5)
        time.sleep(3)
        sender = senders.ffmpeg_sender(target)
        yield timed(peer, "restarted", "first mask after the new sender was started", watched.until_fresh(), None)


def rtmp_rows(segmenter: Segmenter) -> Iterator[Row]:
    """Kill and restart an ffmpeg that serves RTMP."""
    peer, port = "RTMP, ffmpeg", senders.free_port()
    url = f"rtmp://127.0.0.1:{port}/live/key"
    with ExitStack() as stack:
        sender = senders.ffmpeg_sender(url, serves=True)
        stack.callback(lambda: sender.kill())
        time.sleep(1.5)
        watched = stack.enter_context(Watched(url, segmenter))
        yield timed(peer, "started", "first mask after the start of the run", watched.first_seconds, None)
        time.sleep(2)
        sender.kill()
        yield timed(peer, "killed", "reconnecting", watched.until_state("stalled", "reconnecting"), 2.5)
        sender = senders.ffmpeg_sender(url, serves=True)
        yield timed(peer, "restarted", "first mask after the new sender was started", watched.until_fresh(), None)


def change_rows(segmenter: Segmenter) -> Iterator[Row]:
    """Change size, rate and codec in the middle of a stream; send one picture again and again."""
    peer, port = "UDP, PyAV", senders.free_port()
    with senders.UdpSender(port, size_wh=(640, 360), fps=30) as sender:
        with Watched(f"udp://127.0.0.1:{port}", segmenter) as watched:
            time.sleep(1)
            sender.change(size_wh=(320, 240), fps=15)
            seconds = watched.until(lambda: watched.sink.sizes[-1] == (320, 240))
            yield timed(peer, "640x360 at 30 becomes 320x240 at 15", "first mask of the new size", seconds, 3.0)
            sender.change(codec="mpeg2video", fps=25)
            seconds = watched.until(lambda: watched.pipeline.info.details["codec"] == "mpeg2video")
            seconds += watched.until_fresh()
            yield timed(peer, "H.264 becomes MPEG-2", "opened anew, first mask in the new codec", seconds, None)
    with senders.UdpSender(port := senders.free_port(), size_wh=(640, 360), fps=30) as sender:
        with Watched(f"udp://127.0.0.1:{port}", segmenter) as watched:
            time.sleep(1)
            sender.repeats = True
            yield timed(peer, "one picture again and again", "frozen", watched.until_state("frozen"), 7.0)
            sender.repeats = False
            yield timed(peer, "moving again", "live", watched.until_state("live"), 1.0)


def refused_rows(segmenter: Segmenter) -> Iterator[Row]:
    """Addresses that cannot be opened: each in words of its own, in bounded time."""
    port = senders.free_port()
    with senders.rtsp_server(port, password="secret"), senders.silent_server() as silent, senders.WebServer() as web:
        wrong = f"rtsp://joe:wrongpass@127.0.0.1:{port}/live"
        yield refused("RTSP, GStreamer", "wrong password", wrong, segmenter, "user name or password")
        yield refused("RTSP, GStreamer", "no password", f"rtsp://127.0.0.1:{port}/live", segmenter, "401")
        right = f"rtsp://joe:secret@127.0.0.1:{port}"
        yield refused("RTSP, GStreamer", "no such path", f"{right}/nothing", segmenter, "404")
        yield refused("RTSP", "nobody listens", "rtsp://joe:secret@127.0.0.1:1/x", segmenter, "refused")
        yield refused("RTSP", "accepts, never answers", f"rtsp://127.0.0.1:{silent}/x", segmenter, "timeout", 10.5)
        yield refused("RTSP", "no such host", "rtsp://nowhere.invalid/x", segmenter, "host name")
        yield refused("HTTP", "403", web.url("403", "joe:secret"), segmenter, "403")
        yield refused("HTTPS", "no TLS on the port", f"https://127.0.0.1:{web.port}/x", segmenter, "no TLS")
        yield refused("UDP", "nobody sends", f"udp://127.0.0.1:{port}", segmenter, "no packet", 10.5)
        yield refused("SRT", "not in this FFmpeg", "srt://127.0.0.1:9000?passphrase=secret", segmenter, "lacks")


def refused(peer: str, fault: str, url: str, segmenter: Segmenter, telling: str, most_seconds: float = 5.0) -> Row:
    """Return the row of an address that must fail with telling words and no secret in them."""
    started = time.monotonic()
    try:
        Pipeline(rtseg.open_source(url), segmenter, sinks=[Looker()]).run()
    except RtsegError as error:
        seconds, said = time.monotonic() - started, str(error)
        clean = telling in said and not any(secret in said for secret in ("secret", "wrongpass"))
        middle = said.partition("got ")[2].partition(";")[0]
        return timed(peer, fault, f"“got {middle}”", seconds, most_seconds, also=clean)
    return Row(peer, fault, "opened", None, None, False)


def interrupt_rows(_: Segmenter) -> Iterator[Row]:
    """Ctrl-C while a connection hangs, in a process of its own."""
    with senders.silent_server() as port:
        words = [sys.executable, "-m", "rtseg", "run", f"rtsp://127.0.0.1:{port}/x", "-o", "null", "--backend", "fake"]
        child = subprocess.Popen([*words, "-m", "person"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        time.sleep(6)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        seconds = time.monotonic() - started
    clean = child.returncode == 130 and "Traceback" not in said
    yield timed("RTSP", "Ctrl-C while a connect hangs", f"exit code {child.returncode}", seconds, 2.0, also=clean)


def together_rows(segmenter: Segmenter) -> Iterator[Row]:
    """A healthy source beside one that stalls, through one engine."""
    udp_port, rtsp_port = senders.free_port(), senders.free_port()
    with senders.UdpSender(udp_port, size_wh=(320, 180), fps=20), senders.rtsp_server(rtsp_port) as server:
        with running_beside(segmenter, udp_port, rtsp_port) as (healthy, other):
            before = healthy.fps_over(4)
            server.freeze()
            other.until_state("stalled", "reconnecting")
            during = healthy.fps_over(6)
            server.thaw()
            dropped = healthy.pipeline.source_state
    seen = f"{during:.1f} masks a second while the other is silent (before: {before:.1f})"
    holds = during > 0.95 * before and dropped == "live"
    yield Row("UDP beside RTSP", "RTSP frozen (SIGSTOP)", seen, None, None, holds)


@contextmanager
def running_beside(segmenter: Segmenter, udp_port: int, rtsp_port: int) -> Iterator[tuple[Watched, Watched]]:
    """Run two sources at once through one engine."""
    with Watched(f"udp://127.0.0.1:{udp_port}", segmenter) as healthy:
        with Watched(f"rtsp://127.0.0.1:{rtsp_port}/live", segmenter) as other:
            time.sleep(1)
            yield healthy, other


GROUPS: dict[str, tuple[Callable[[Segmenter], Iterator[Row]], Callable[[], bool]]] = {
    "rtsp": (rtsp_rows, senders.has_gstreamer),
    "udp": (udp_rows, senders.has_ffmpeg),
    "rtmp": (rtmp_rows, senders.has_ffmpeg),
    "change": (change_rows, lambda: True),
    "refused": (refused_rows, senders.has_gstreamer),
    "interrupt": (interrupt_rows, lambda: True),
    "together": (together_rows, senders.has_gstreamer),
}


def measure(names: list[str], tell: Callable[[str], None] = print) -> list[Row]:
    """Run the groups of these names and return their rows; a group that breaks is a row that does not hold."""
    rows: list[Row] = []
    with rtseg.load("person", backend="fake", smoothing=False, edges=False) as segmenter:
        for name in names:
            group, present = GROUPS[name]
            if not present():
                tell(f"{name}: left out, its programs are absent")
                continue
            try:
                for row in group(segmenter):
                    rows.append(row)
                    tell(line_of(row))
            except TimeoutError as error:
                rows.append(Row(name, "the group", f"broke off: {error}", None, None, False))
                tell(line_of(rows[-1]))
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("rtseg-")]
    rows.append(Row("all", "afterwards", f"{len(left)} threads left {' '.join(left)}".strip(), None, None, not left))
    return rows


def line_of(row: Row) -> str:
    """Return a row as a line of a Markdown table."""
    seconds = "" if row.seconds is None else f"{row.seconds:.2f} s"
    most = "" if row.most_seconds is None else f"≤ {row.most_seconds:g} s"
    return f"| {row.peer} | {row.fault} | {row.seen} | {seconds} | {most} | {'yes' if row.holds else '**no**'} |"


def write_table(rows: list[Row]) -> None:
    """Put the table into README.md, between its marks."""
    head = "| peer | what was done | what was seen | time | bound | holds |\n|---|---|---|---|---|---|"
    text = README.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text("\n".join([f"{before}{BEGIN}", head, *map(line_of, rows), f"{END}{after}"]), encoding="utf-8")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="which groups; default: all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true")
    words = parser.parse_args()
    rows = measure(words.groups or list(GROUPS))
    if words.json:
        report = {"machine": machine_facts(), "rows": [asdict(row) for row in rows]}
        words.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if words.readme:
        write_table(rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
