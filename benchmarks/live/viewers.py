"""Ten viewers come and go for five minutes; what the server holds before and after is compared.

    python benchmarks/live/viewers.py --minutes 5 --json FILE

The server is a process of its own (`rtseg serve` on the built-in scene), so that its threads, tasks, open files and
memory are its own. Seven viewers watch by WebRTC and three by MJPEG; each stays 2 to 12 seconds, and one in three
leaves without a word, as a killed browser does. A first round of the same kind warms everything up. Both counts are
taken at rest: nobody watches, and the stream's pipeline has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from asyncio import InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from rtseg.serve import rtc as _quiet  # noqa: F401  the same patience with those who are gone
from rtseg.stats import machine_facts

WEBRTC_VIEWERS, MJPEG_VIEWERS = 7, 3
STAY_SECONDS = (2.0, 12.0)
REST_SECONDS = 14.0
MOST_GROWTH_MB = 20.0


class Server:
    """`rtseg serve` as a process."""

    def __init__(self, stream: str) -> None:
        words = ["serve", f"scene={stream}", "--port", "0", "--viewers", "16"]
        self.process = subprocess.Popen([sys.executable, "-m", "rtseg", *words], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        found = re.search(r"http://[^/]+:(\d+)/", line)
        if found is None:
            raise SystemExit(f"the server said {line!r}")
        self.address = f"http://127.0.0.1:{found[1]}"
        self.seen = psutil.Process(self.process.pid)

    def ask(self, path: str, body: Any = None) -> Any:
        """One request."""
        coded = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.address + path, coded), timeout=30) as answer:
            return json.load(answer)

    def held(self) -> dict[str, float]:
        """What the process holds at the moment."""
        stats = self.ask("/api/stats")
        return {
            "python_threads": stats["threads"],
            "native_threads": self.seen.num_threads(),
            "tasks": stats["tasks"],
            "open_files": self.seen.num_fds(),
            "sockets": len(self.seen.net_connections()),
            "memory_mb": round(self.seen.memory_info().rss / 1e6, 1),
            "viewers": len(stats["viewers"]) + stats["mjpeg_viewers"],
            "frames": stats["streams"]["scene"]["frames"],
            "fps": stats["streams"]["scene"]["fps"],
            "runs": stats["streams"]["scene"]["state"] != "idle",
        }


class Visits:
    """Counts what the viewers saw."""

    def __init__(self) -> None:
        self.visits = 0
        self.vanished = 0
        self.without_picture = 0
        self.refused = 0
        self.frames = 0
        self.first_picture_seconds: list[float] = []


class Silent:
    """A socket that says nothing any more and hears nothing, as that of a machine that was switched off."""

    def __init__(self, protocol: Any) -> None:
        self._socket = protocol.transport
        protocol.transport = self
        protocol.datagram_received = lambda *_: None

    def sendto(self, *_: object) -> None:
        """Send nothing."""

    def close(self) -> None:
        """Close the socket itself."""
        self._socket.close()

    def get_extra_info(self, name: str) -> Any:
        """Return what the socket tells of itself."""
        return self._socket.get_extra_info(name)


async def watch_by_webrtc(server: Server, visits: Visits, stay_seconds: float, vanish: bool) -> None:
    """One visit: offer, watch, leave."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    seen = 0
    began = time.monotonic()

    async def read(track: Any) -> None:
        nonlocal seen
        with suppress(MediaStreamError):
            while True:
                await track.recv()
                if seen == 0:
                    visits.first_picture_seconds.append(time.monotonic() - began)
                seen += 1

    reading: list[asyncio.Task[None]] = []
    connection.on("track", lambda track: reading.append(asyncio.ensure_future(read(track))))
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer"}
    try:
        answer = await asyncio.to_thread(server.ask, "/api/streams/scene/offer", offer)
        await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await asyncio.sleep(stay_seconds)
        if vanish:
            for transceiver in connection.getTransceivers():
                for protocol in transceiver.receiver.transport.transport._connection._protocols:
                    Silent(protocol)
    except OSError:
        visits.refused += 1
    finally:
        with suppress(TimeoutError, InvalidStateError, ConnectionError):
            await asyncio.wait_for(connection.close(), 10)
        for task in reading:
            task.cancel()
    visits.frames += seen
    visits.without_picture += seen == 0


async def watch_by_mjpeg(server: Server, visits: Visits, stay_seconds: float, vanish: bool) -> None:
    """One visit by plain HTTP."""
    host, port = server.address.removeprefix("http://").split(":")
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /stream/scene.mjpg HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    seen = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(stay_seconds):
            while piece := await reader.read(65536):
                seen += piece.count(b"--rtseg-frame")
                if seen == 1:
                    visits.first_picture_seconds.append(time.monotonic() - began)
    if vanish:
        writer.transport.abort()
    else:
        writer.close()
    visits.frames += seen
    visits.without_picture += seen == 0


async def come_and_go(server: Server, visits: Visits, number: int, until: float) -> None:
    """One viewer: visit after visit."""
    dice = random.Random(number)
    watch = watch_by_webrtc if number < WEBRTC_VIEWERS else watch_by_mjpeg
    await asyncio.sleep(dice.uniform(0, 3))
    while time.monotonic() < until:
        vanish = dice.random() < 1 / 3
        visits.visits += 1
        visits.vanished += vanish
        await watch(server, visits, dice.uniform(*STAY_SECONDS), vanish)
        await asyncio.sleep(dice.uniform(0, 2))


async def round_of_visits(server: Server, seconds: float, log: list[dict[str, float]]) -> Visits:
    """Let all viewers come and go, then wait until everything rests."""
    visits = Visits()
    until = time.monotonic() + seconds
    viewers = [
        asyncio.ensure_future(come_and_go(server, visits, number, until))
        for number in range(WEBRTC_VIEWERS + MJPEG_VIEWERS)
    ]
    began = time.monotonic()
    while not all(viewer.done() for viewer in viewers):
        await asyncio.wait(viewers, timeout=10.0)
        held = await asyncio.to_thread(server.held)
        log.append({"seconds": round(time.monotonic() - began, 1), **held})
        print(log[-1], flush=True)
    await asyncio.gather(*viewers)
    await asyncio.sleep(REST_SECONDS)
    return visits


async def at_rest(server: Server) -> dict[str, float]:
    """Return the least of each of five counts: the connection of the count itself may not have ended yet."""
    counts = []
    for _ in range(5):
        counts.append(server.held())
        await asyncio.sleep(1.0)
    return {name: min(count[name] for count in counts) for name in counts[0]}


def verdict(before: dict[str, float], after: dict[str, float]) -> dict[str, bool]:
    """Return for each thing whether no more of it is held than before."""
    held = {name: after[name] <= before[name] for name in ("python_threads", "tasks", "open_files", "sockets")}
    # native threads: OpenVINO's and OpenCV's pools grow to their size once and stay
    held["native_threads"] = after["native_threads"] <= before["native_threads"] + 1
    held["memory_mb"] = after["memory_mb"] - before["memory_mb"] < MOST_GROWTH_MB
    held["nobody_watches"] = after["viewers"] == 0 and not after["runs"]
    return held


async def measure(server: Server, minutes: float) -> dict[str, Any]:
    """Warm up, count, let them come and go, count again."""
    warm_up: list[dict[str, float]] = []
    log: list[dict[str, float]] = []
    await round_of_visits(server, min(30.0, minutes * 60 / 4), warm_up)
    before = await at_rest(server)
    visits = await round_of_visits(server, minutes * 60, log)
    after = await at_rest(server)
    firsts = sorted(visits.first_picture_seconds)
    return {
        "command": f"python benchmarks/live/viewers.py --minutes {minutes:g}",
        "machine": machine_facts(),
        "minutes": minutes,
        "visits": visits.visits,
        "left_without_a_word": visits.vanished,
        "frames_seen": visits.frames,
        "visits_without_a_picture": visits.without_picture,
        "refused": visits.refused,
        "first_picture_seconds": {"p50": round(firsts[len(firsts) // 2], 2), "max": round(firsts[-1], 2)},
        "at_rest_before": before,
        "at_rest_after": after,
        "no_more_than_before": verdict(before, after),
        "log": log,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--stream", default="synthetic:desk?size=320x180&fps=10")
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    server = Server(words.stream)
    try:
        result = asyncio.run(measure(server, words.minutes))
    finally:
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(20)
    result["server_ended_in_seconds"] = round(time.monotonic() - began, 2)
    shown = {name: value for name, value in result.items() if name != "log"}
    print(json.dumps(shown, indent=2))
    if words.json is not None:
        words.json.parent.mkdir(parents=True, exist_ok=True)
        words.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(result["no_more_than_before"].values()) else 1)


if __name__ == "__main__":
    main()
