"""A thousand hostile requests against `rtseg serve`: no 500, no hang, and the live picture goes on.

    python benchmarks/live/hostile.py --requests 1000 --json FILE

Sizes, types, paths, methods, headers, JSON, SDP, pictures and videos that are wrong in every way that the dice find,
and senders that are slow or hang up in the middle. A viewer watches a stream all the while; his longest gap is told
beside the one of a minute of peace before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rtseg.stats import machine_facts

ANSWER_SECONDS = 30.0
"""Whoever is not answered or hung up on by then is counted as a hang."""
LONG_PAUSE_SECONDS = 13.0
"""Longer than the server waits for the rest of a request."""
AT_ONCE = 8
PEACE_SECONDS = 10.0
REST_SECONDS = 30.0
"""After it, so that offers that never became a connection are given up."""

SDP = """v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic:WMS *\r
m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\na=mid:0\r\na=rtcp-mux\r
a=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack\r\na=rtpmap:98 H264/90000\r
a=fmtp:98 profile-level-id=42e01f;packetization-mode=1\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r
a=candidate:2 1 udp 1 stranger.local 9 typ host\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r
a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"""

PATHS = (
    "/api/camera",
    "/api/camera/x",
    "/api/camera/x/stats",
    "/api/videos",
    "/api/videos/x",
    "/api/videos/x/render",
    "/api/videos/x/result.mp4",
    "/api/backgrounds",
    "/api/backgrounds/x",
    "/api/streams",
    "/api/streams/scene",
    "/api/streams/scene/offer",
    "/api/streams/none/offer",
    "/api/viewers/x",
    "/stream/none.mjpg",
    "/page/../../../../etc/passwd",
    "/page/..%2f..%2f..%2fetc%2fpasswd",
    "/page/%00",
    "/page//etc/passwd",
    "/api/videos/..%2f..%2f/result.mp4",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//evil.example/",
    "/?" + "a=b&" * 300,
    "/" + "x" * 3000,
    "*",
    "http://evil.example/",
    "/api/info?token=%ff%fe",
    "/api/videos?settings=%7B%22effect%22%3A1%7D",
    "/api/videos?settings=" + "%5B" * 2000,
    "/metrics",
    "/openapi.json",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "G\x00T", "get")
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    float("nan"),
    10**400,
    "",
    "x" * 10_000,
    "\ud800",
    "../../x",
    [],
    [[]] * 50,
    {},
    {"a": {"b": {}}},
)
KEYS = ("sdp", "type", "settings", "strip", "model", "effect", "strength", "background", "color", "smoothing", "hidden")


class Attack(NamedTuple):
    """Bytes to send, and how."""

    kind: str
    content: bytes
    pause_seconds: float = 0.0
    """Wait in the middle."""
    hangs_up: bool = False
    """End in the middle without waiting for an answer."""


class Outcome(NamedTuple):
    """What came of one."""

    kind: str
    status: int | None
    """None: hung up on without an answer."""
    seconds: float
    hung: bool


def attack(number: int, port: int) -> Attack:
    """Return the attack of a number; the same number is the same attack."""
    dice = random.Random(number)
    makers: tuple[Callable[[random.Random, int], Attack], ...] = (
        _odd_request,
        _odd_json,
        _odd_sdp,
        _odd_sdp,
        _odd_file,
        _odd_headers,
        _broken_http,
        _slow,
    )
    return makers[number % len(makers)](dice, port)


def _request(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    given = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **(headers or {})}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return head.encode("latin-1", "replace") + b"\r\n" + body


def _odd_request(dice: random.Random, port: int) -> Attack:
    body = dice.randbytes(dice.choice((0, 1, 100, 10_000, 300_000)))
    return Attack("path and method", _request(port, dice.choice(METHODS), dice.choice(PATHS), body))


def _odd_json(dice: random.Random, port: int) -> Attack:
    value: Any = {dice.choice(KEYS): dice.choice(VALUES) for _ in range(dice.randint(0, 6))}
    if dice.random() < 0.3:
        value = dice.choice(VALUES)
    text = json.dumps(value).encode()
    if dice.random() < 0.2:
        text = dice.choice((b"[" * 50_000, b'{"a":' * 20_000, b"\xff\xfe{", text[: len(text) // 2], b"\x00", b"nul"))
    path = dice.choice(("/api/camera", "/api/streams/scene", "/api/streams/scene/offer", "/api/camera/x"))
    method = "PATCH" if path in ("/api/streams/scene", "/api/camera/x") else "POST"
    return Attack("json", _request(port, method, path, text))


def _odd_sdp(dice: random.Random, port: int) -> Attack:
    lines = SDP.split("\r\n")
    for _ in range(dice.randint(0, 6)):
        at = dice.randrange(len(lines))
        what = dice.random()
        if what < 0.3:
            del lines[at]
        elif what < 0.5:
            lines.insert(at, dice.choice(lines))
        elif what < 0.7:
            lines[at] = "".join(dice.choice("v=amc0123456789:;/ \x00é") for _ in range(dice.randint(0, 60)))
        elif what < 0.9:
            lines[at] = re.sub(r"\d+", lambda _: str(dice.choice((-1, 0, 65536, 10**12, 255))), lines[at])
        else:
            lines[at] = lines[at] * dice.choice((2, 50))
        if not lines:
            lines = ["v=0"]
    sdp = "\r\n".join(lines)
    if dice.random() < 0.1:
        sdp = dice.choice(("v=0", "v=0\r\n" * 1000, "v=0\r\nm=video 9 x 97\r\n" * 3, "v=0" + "\r\na=x" * 20_000))
    body = json.dumps({"sdp": sdp, "type": "offer", "settings": {}}).encode()
    return Attack("sdp", _request(port, "POST", dice.choice(("/api/camera", "/api/streams/scene/offer")), body))


def _odd_file(dice: random.Random, port: int) -> Attack:
    heads = (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00",
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        b"BM" + b"\xff" * 30,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41\x00\x00\x00\x08free\xff\xff\xff\xffmoov",
        b"\x1aE\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x23",
        b"GIF89a\xff\xff\xff\xff\xf7\x00\x00",
        b"",
    )
    body = dice.choice(heads) + dice.randbytes(dice.choice((0, 10, 1000, 100_000)))
    kind = dice.choice(("image/png", "video/mp4", "multipart/form-data", "multipart/form-data; boundary=x", "\x01"))
    path = dice.choice(("/api/backgrounds", "/api/backgrounds?name=../../x", "/api/videos", "/api/videos?name=%00"))
    return Attack("file", _request(port, "POST", path, body, {"Content-Type": kind}))


def _odd_headers(dice: random.Random, port: int) -> Attack:
    odd = {
        dice.choice(("Host", "Origin", "Cookie", "Authorization", "Range", "Content-Type", "X", "Expect")): dice.choice(
            ("", "evil.example", "null", "bytes=9-1", "bytes=" + "0-1," * 500, "a" * 8000, "\xff\xfe", "100-continue")
        )
        for _ in range(dice.randint(1, 5))
    }
    if dice.random() < 0.2:
        odd |= {f"X-{number}": "y" * 50 for number in range(500)}
    path = dice.choice(("/", "/api/info", "/page/index.html", "/metrics", "/api/camera"))
    return Attack("headers", _request(port, dice.choice(("GET", "POST")), path, b"", odd))


def _broken_http(dice: random.Random, port: int) -> Attack:
    host = f"Host: 127.0.0.1:{port}\r\n"
    contents = (
        dice.randbytes(dice.choice((1, 100, 70_000))),
        b"\r\n" * 2000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(200),
        f"POST /api/camera HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nZZ\r\nx".encode(),
        f"POST /api/camera HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".encode(),
        f"POST /api/camera HTTP/1.1\r\n{host}Content-Length: -5\r\n\r\n".encode(),
        f"POST /api/videos HTTP/1.1\r\n{host}Content-Length: 99999999999999999999\r\n\r\nabc".encode(),
        f"GET / HTTP/1.1\r\n{host}{host}\r\n".encode(),
        f"GET / HTTP/1.1\r\n{host} folded: x\r\n\r\n".encode(),
    )
    return Attack("broken http", dice.choice(contents), hangs_up=dice.random() < 0.3)


def _slow(dice: random.Random, port: int) -> Attack:
    body = b'{"sdp": "' + b"x" * 5000 + b'"}'
    whole = _request(port, "POST", dice.choice(("/api/camera", "/api/videos", "/api/backgrounds")), body)
    if dice.random() < 0.5:
        return Attack("slow", whole, pause_seconds=dice.choice((0.3, 1.0, LONG_PAUSE_SECONDS)))
    return Attack("hangs up", whole, hangs_up=True)


def carry_out(what: Attack, port: int) -> Outcome:
    """Send one and wait for what comes of it."""
    began = time.monotonic()
    hung, answer = False, b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
            half = len(what.content) // 2 if what.pause_seconds or what.hangs_up else len(what.content)
            with suppress(ConnectionError):
                client.sendall(what.content[:half])
                if what.hangs_up:
                    return Outcome(what.kind, None, time.monotonic() - began, False)
                time.sleep(what.pause_seconds)
                client.sendall(what.content[half:])
            if what.kind == "broken http":
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
    except TimeoutError:
        hung = True
    except OSError:
        pass  # hung up on
    found = re.match(rb"HTTP/1\.\d (\d{3})", answer)
    return Outcome(what.kind, int(found[1]) if found else None, time.monotonic() - began, hung)


class Watcher:
    """Somebody who watches a stream by MJPEG in a thread of its own and notes when pictures came."""

    def __init__(self, port: int, name: str) -> None:
        self.times: list[float] = []
        self._client = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._client.sendall(f"GET /stream/{name}.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        rest = b""
        with suppress(OSError):
            while piece := self._client.recv(65536):
                rest += piece
                count = rest.count(b"--rtseg-frame")
                self.times += [time.monotonic()] * count
                rest = rest[-12:] if count or len(rest) > 100_000 else rest

    def longest_gap_seconds(self, since: float, until: float) -> float:
        """The longest time without a picture."""
        moments = [since, *(moment for moment in self.times if since < moment < until), until]
        return max(second - first for first, second in itertools.pairwise(moments))

    def frames(self, since: float, until: float) -> int:
        """How many pictures came."""
        return sum(since < moment < until for moment in self.times)

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()
        self._thread.join(5)


def assault(port: int, count: int, *, first: int = 0) -> list[Outcome]:
    """Carry out that many, a few at once."""
    with ThreadPoolExecutor(AT_ONCE) as executor:
        return list(executor.map(lambda number: carry_out(attack(number, port), port), range(first, first + count)))


def held(port: int) -> dict[str, int]:
    """What the server holds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/stats", timeout=30) as answer:
        stats = json.load(answer)
    counts = {"cameras": len(stats["cameras"]), "viewers": len(stats["viewers"])}
    return {**counts, "threads": stats["threads"], "tasks": stats["tasks"]}


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return how they were answered."""
    by_kind: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        by_kind.setdefault(outcome.kind, Counter())[str(outcome.status or "no answer")] += 1
    return {
        "requests": len(outcomes),
        "server_errors": sum((outcome.status or 0) >= 500 for outcome in outcomes),
        "hangs": sum(outcome.hung for outcome in outcomes),
        "slowest_seconds": round(max(outcome.seconds for outcome in outcomes), 2),
        "by_kind": {kind: dict(sorted(counts.items())) for kind, counts in sorted(by_kind.items())},
    }


def main() -> None:
    """Start a server, attack it, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    command = [sys.executable, "-m", "rtseg", "serve", "scene=synthetic:desk?size=320x180&fps=10", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = re.search(r":(\d+)/", process.stdout.readline() if process.stdout else "")
    if found is None:
        raise SystemExit("the server did not start")
    port = int(found[1])
    watcher = Watcher(port, "scene")
    while not watcher.times:
        time.sleep(0.1)
    peace_began = time.monotonic()
    time.sleep(PEACE_SECONDS)
    held_before = held(port)
    began = time.monotonic()
    outcomes = assault(port, words.requests)
    ended = time.monotonic()
    time.sleep(REST_SECONDS)
    held_after = held(port)
    after = watcher.frames(ended, ended + REST_SECONDS)
    watcher.close()
    process.terminate()
    _, complaints = process.communicate(timeout=20)
    result = {
        "command": f"python benchmarks/live/hostile.py --requests {words.requests}",
        "machine": machine_facts(),
        **summary(outcomes),
        "seconds": round(ended - began, 1),
        "picture": {
            "fps_in_peace": round(watcher.frames(peace_began, began) / (began - peace_began), 2),
            "fps_under_attack": round(watcher.frames(began, ended) / (ended - began), 2),
            "fps_afterwards": round(after / REST_SECONDS, 2),
            "longest_gap_in_peace_seconds": round(watcher.longest_gap_seconds(peace_began, began), 2),
            "longest_gap_under_attack_seconds": round(watcher.longest_gap_seconds(began, ended), 2),
        },
        "held_before": held_before,
        "held_after": held_after,
        "said_by_the_server": complaints.splitlines()[-20:],
    }
    print(json.dumps(result, indent=2))
    if words.json is not None:
        words.json.parent.mkdir(parents=True, exist_ok=True)
        words.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    grown = any(held_after[name] > held_before[name] for name in ("cameras", "viewers"))
    sys.exit(1 if result["server_errors"] or result["hangs"] or not after or grown else 0)


if __name__ == "__main__":
    main()
