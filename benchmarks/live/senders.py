"""Senders and servers that behave and misbehave on demand: for the table of faults, and for the tests.

What is made with PyAV needs nothing else; GStreamer's RTSP server and the ffmpeg program are looked for.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

TS_DATAGRAM_BYTES = 7 * 188
SYSTEM_PYTHON = "/usr/bin/python3"
"""GStreamer's bindings come with the distribution's own Python."""


def free_port() -> int:
    """Return a TCP and UDP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def picture(index: int, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture that differs from the ones before and after it, rgb uint8 [H, W, 3]."""
    width, height = size_wh
    rgb = np.full((height, width, 3), 70, np.uint8)
    side = height // 3
    x = (7 * index) % max(1, width - side)
    rgb[side : 2 * side, x : x + side] = (220, 60, 40)
    return rgb


def encoded_ts(
    write: Callable[[bytes], None],
    going: Callable[[], bool],
    *,
    size_wh: tuple[int, int] = (160, 120),
    fps: int = 25,
    gop: int = 12,
    codec: str = "libx264",
    format_name: str = "mpegts",
    with_sound: bool = False,
    first_index: int = 0,
    paced: bool = True,
    held: Callable[[], bool] = lambda: False,
) -> int:
    """Encode moving pictures as a live sender does, until told to stop; return the index of the next picture."""
    index = first_index
    with av.open(_Writer(write), "w", format=format_name, options={"flush_packets": "1"}) as out:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "bf": "0"} if codec == "libx264" else {}
        video: Any = out.add_stream(codec, rate=fps, options=options)
        video.width, video.height = size_wh
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.codec_context.gop_size = gop
        video.codec_context.time_base = Fraction(1, fps)
        sound: Any = out.add_stream("aac", rate=48_000, layout="mono") if with_sound else None
        started = time.monotonic() - first_index / fps
        while going():
            shown = index if not held() else first_index
            frame = av.VideoFrame.from_ndarray(picture(shown, size_wh), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            for packet in video.encode(frame):
                out.mux(packet)
            if sound is not None:
                _add_tone(out, sound, index, fps)
            index += 1
            if paced:
                time.sleep(max(0.0, started + index / fps - time.monotonic()))
    return index


def _add_tone(out: Any, sound: Any, index: int, fps: int) -> None:
    count = 48_000 // fps
    wave = np.sin((np.arange(count) + index * count) * 0.06).astype(np.float32) * 0.2
    block = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    block.sample_rate, block.pts, block.time_base = 48_000, index * count, Fraction(1, 48_000)
    for packet in sound.encode(block):
        out.mux(packet)


class _Writer:
    """The file-like object that PyAV writes to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        """Pass the bytes on; a receiver that has gone is no error of the encoder."""
        with contextlib.suppress(OSError):
            self._write(bytes(data))
        return len(data)


class UdpSender:
    """Sends MPEG-TS to a UDP port from a thread; drops, garbles, pauses and changes size on demand."""

    def __init__(self, port: int, **options: Any) -> None:
        self.port = port
        self.drop_share = 0.0
        self.garble_share = 0.0
        self.paused = False
        self.repeats = False
        self._options = options
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._random = random.Random(5)
        self._going = True
        self._next_index = 0
        self._thread = threading.Thread(target=self._run, name="udp-sender", daemon=True)

    def change(self, **options: Any) -> None:
        """Go on with other options (size_wh, fps, codec), as a camera does whose settings were changed."""
        self._stop_thread()
        self._options |= options
        self._going = True
        self._thread = threading.Thread(target=self._run, name="udp-sender", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_thread()
        self._socket.close()

    def _run(self) -> None:
        self._next_index = encoded_ts(
            self._send,
            lambda: self._going,
            first_index=self._next_index,
            held=lambda: self.repeats,
            **self._options,
        )

    def _stop_thread(self) -> None:
        self._going = False
        self._thread.join(5)

    def _send(self, data: bytes) -> None:
        for start in range(0, len(data), TS_DATAGRAM_BYTES):
            part = bytearray(data[start : start + TS_DATAGRAM_BYTES])
            if self.paused or self._random.random() < self.drop_share:
                continue
            if self._random.random() < self.garble_share:
                for _ in range(20):
                    part[self._random.randrange(len(part))] ^= self._random.randrange(1, 256)
            self._socket.sendto(part, ("127.0.0.1", self.port))


class WebServer:
    """An HTTP server with a camera (MJPEG), a live MPEG-TS, files, a door, and a way to hang."""

    def __init__(self, folder: Path | None = None, *, fps: int = 20, size_wh: tuple[int, int] = (160, 120)) -> None:
        self.folder, self.fps, self.size_wh = folder, fps, size_wh
        self.going = True
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                """Answer one request."""
                outer._answer(self)

            def log_message(self, format: str, *values: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: clients that hang up are the point."""

        self._server: socketserver.BaseServer = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="web", daemon=True)

    def url(self, path: str, user: str = "") -> str:
        """Return the address of a path."""
        return f"http://{user}{'@' * bool(user)}127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.lstrip("/").partition("?")[0]
        self.requests.append(name)
        if name == "hang":
            while self.going:
                time.sleep(0.02)
        elif name in ("401", "403", "404", "500"):
            handler.send_error(int(name))
        elif name == "cam.mjpg":
            self._send_mjpeg(handler)
        elif name == "live.ts":
            self._send_head(handler, "video/mp2t")
            encoded_ts(handler.wfile.write, lambda: self.going, size_wh=self.size_wh, fps=self.fps)
        else:
            self._send_file(handler, name)

    def _send_head(self, handler: BaseHTTPRequestHandler, kind: str, length: int | None = None) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def _send_mjpeg(self, handler: BaseHTTPRequestHandler) -> None:
        self._send_head(handler, "multipart/x-mixed-replace; boundary=frame")
        index = 0
        while self.going:
            jpeg = cv2.imencode(".jpg", picture(index, self.size_wh)[..., ::-1])[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            handler.wfile.write(head + jpeg + b"\r\n")
            index += 1
            time.sleep(1 / self.fps)

    def _send_file(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        path = None if self.folder is None else self.folder / Path(name).name
        if path is None or not path.is_file():
            handler.send_error(404)
            return
        data = path.read_bytes()
        kind = "application/vnd.apple.mpegurl" if path.suffix == ".m3u8" else "application/octet-stream"
        self._send_head(handler, kind, len(data))
        handler.wfile.write(data)


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections on a TCP port, which is given, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


# ---- programs -----------------------------------------------------------------------------------------------------

_RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
port, width, height, fps, password = sys.argv[1:6]
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service(port); server.set_address("127.0.0.1")
factory.set_launch(
    f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={fps}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! rtph264pay name=pay0 pt=96 "
    "audiotestsrc is-live=true ! audioconvert ! alawenc ! rtppcmapay name=pay1 pt=8 )")
factory.set_shared(True)
if password:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("joe", password), token); server.set_auth(auth)
    allowed = GstRtspServer.RTSPPermissions()
    allowed.add_permission_for_role("user", "media.factory.access", True)
    allowed.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(allowed)
server.get_mount_points().add_factory("/live", factory); server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def has_gstreamer() -> bool:
    """Find out whether GStreamer's RTSP server is installed, with its bindings."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    words = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return subprocess.run([SYSTEM_PYTHON, "-c", words], capture_output=True, check=False).returncode == 0


def has_ffmpeg() -> bool:
    """Find out whether the ffmpeg program is installed."""
    return shutil.which("ffmpeg") is not None


class Program:
    """Another program that sends; killed, frozen and thawed as processes are."""

    def __init__(self, words: list[str], *, waits_for: bytes = b"") -> None:
        self._child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if waits_for and self._child.stdout is not None:
            self._child.stdout.readline()

    def freeze(self) -> None:
        """Stop it without ending it, as a machine that hangs."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._child.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; idempotent."""
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def rtsp_server(port: int, *, size_wh: tuple[int, int] = (640, 360), fps: int = 30, password: str = "") -> Program:
    """Start GStreamer's RTSP server with a ball and a tone at `/live`."""
    words = [SYSTEM_PYTHON, "-c", _RTSP_SERVER, str(port), *map(str, size_wh), str(fps), password]
    return Program(words, waits_for=b"ready")


def ffmpeg_sender(
    target: str, *, size_wh: tuple[int, int] = (640, 360), fps: int = 30, serves: bool = False
) -> Program:
    """Start an ffmpeg that sends a moving test picture and a tone to an address, or serves them there (RTMP)."""
    source = ["-re", "-f", "lavfi", "-i", f"testsrc2=size={size_wh[0]}x{size_wh[1]}:rate={fps}"]
    sound = ["-f", "lavfi", "-i", "sine=440"]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(fps), "-pix_fmt", "yuv420p"]
    kind = ["-f", "flv" if target.startswith("rtmp") else "mpegts"]
    listen = ["-listen", "1"] if serves else []
    return Program(
        ["ffmpeg", "-loglevel", "error", "-nostdin", *source, *sound, *video, "-c:a", "aac", *kind, *listen, target]
    )


class UdpRelay:
    """Passes datagrams on from one port to another and loses or garbles some."""

    def __init__(self, to_port: int) -> None:
        self.drop_share = self.garble_share = 0.0
        self._to = ("127.0.0.1", to_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = int(self._socket.getsockname()[1])
        self._random = random.Random(5)
        self._going = True
        self._thread = threading.Thread(target=self._run, name="udp-relay", daemon=True)

    def _run(self) -> None:
        while self._going:
            try:
                data = bytearray(self._socket.recv(65_536))
            except TimeoutError:
                continue
            if self._random.random() < self.drop_share:
                continue
            if self._random.random() < self.garble_share:
                for _ in range(20):
                    data[self._random.randrange(len(data))] ^= self._random.randrange(1, 256)
            self._socket.sendto(data, self._to)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join(5)
        self._socket.close()


if __name__ == "__main__":
    sys.exit("This holds senders for benchmarks/live/faults.py and for the tests; run that.")
