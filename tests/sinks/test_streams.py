"""Live outputs against FFmpeg as the peer: frames, colours and lips at the far end; and every way of not getting in."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rtseg.errors import SinkError
from rtseg.sinks import open_sink, wire
from tests.sinks import receivers
from tests.sinks.receivers import BeepAndFlash, Receiver, free_port, offsets, wait_until
from tests.sinks.tls import TlsEnd, make_certificate

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listeners are found by Linux's table")
FRAMES = 80
LIPS_SECONDS = 0.033


def url_of(scheme: str) -> str:
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    return f"{scheme}://127.0.0.1:{free_port(kind)}" + ("" if scheme == "udp" else "/live/secretkey")


def send(sink, signal: BeepAndFlash, count: int, *, speed: float = 3.0, late_seconds: float = 0.5) -> None:
    began = time.monotonic()
    for index in range(count):
        sink.write(signal.frame(index, sound_ahead_seconds=late_seconds), None)
        time.sleep(max(0.0, began + index / signal.fps / speed - time.monotonic()))


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "udp"])
@pytest.mark.parametrize("late_seconds", [0.05, 2.0])
def test_lips_are_in_step_however_late_the_picture_is(scheme, late_seconds):
    """The sound is so far ahead of the picture in the feed; at the receiver beep and flash must meet again."""
    receiver = Receiver(url_of(scheme)).start()
    signal = BeepAndFlash()
    sink = open_sink(receiver.url)
    sink.open(signal.stream)
    send(sink, signal, FRAMES, late_seconds=late_seconds)
    sink.close()
    got = receiver.finished()
    assert len(got.times) == FRAMES
    assert got.times[-1] - got.times[0] == pytest.approx((FRAMES - 1) / 30, abs=0.035)
    found = offsets(got)
    assert len(found) == 2
    assert max(map(abs, found)) < LIPS_SECONDS
    assert sink.notes == ()


def test_the_measurement_above_would_notice_sound_that_is_late():
    receiver = Receiver(url_of("rtmp")).start()
    signal = BeepAndFlash()
    put = signal.feed.put
    signal.feed.put = lambda data, pts, duration: put(data, pts + 0.1, duration)
    sink = open_sink(receiver.url)
    sink.open(signal.stream)
    send(sink, signal, FRAMES)
    sink.close()
    found = offsets(receiver.finished())
    assert min(found) > LIPS_SECONDS


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "udp"])
def test_colours_at_the_far_end(scheme):
    receiver = Receiver(url_of(scheme), keep_pictures=True).start()
    signal = BeepAndFlash()
    sink = open_sink(f"{receiver.url}#audio=off")
    sink.open(signal.stream)
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:, :80], picture[:, 80:] = (210, 50, 40), (40, 60, 200)
    for index in range(30):
        sink.write(signal.frame(index).with_picture(picture), None)
        time.sleep(0.01)
    sink.close()
    got = receiver.finished()
    assert got.samples == []
    assert (got.facts["colorspace"], got.facts["color_range"]) == (1, 1)  # BT.709, limited
    last = got.pictures[-1].astype(int)
    assert np.abs(last[60, 40] - (210, 50, 40)).max() <= 6
    assert np.abs(last[60, 120] - (40, 60, 200)).max() <= 6


def test_a_size_that_changes_goes_on_and_is_said_once():
    receiver = Receiver(url_of("udp")).start()
    signal = BeepAndFlash()
    sink = open_sink(f"{receiver.url}#audio=off")
    sink.open(signal.stream)
    for index in range(30):
        size = (160, 120) if index < 10 else (200, 100)
        picture = np.full((size[1], size[0], 3), 90, np.uint8)
        sink.write(signal.frame(index).with_picture(picture), None)
        time.sleep(0.01)
    sink.close()
    assert len(receiver.finished().times) == 30
    assert len(sink.notes) == 1
    assert "scaled to 160x120" in sink.notes[0]


def test_a_sink_may_be_opened_again_after_an_abort():
    signal = BeepAndFlash()
    url = url_of("rtmp")
    sink = open_sink(url)
    for attempt in range(2):
        receiver = Receiver(url).start()
        sink.open(signal.stream)
        for index in range(20):
            sink.write(signal.frame(100 * attempt + index), None)
            time.sleep(0.01)
        sink.close() if attempt else sink.abort()
        got = receiver.finished()
        assert got.times[0] == pytest.approx(0.0, abs=0.001)  # a connection begins at 0
        assert len(got.times) >= 15


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_through_tls(scheme, tmp_path):
    certificate = make_certificate(tmp_path) or pytest.skip("openssl is absent")
    receiver = Receiver(url_of(scheme)).start()
    end = TlsEnd(certificate, plain_port=int(receiver.url.split(":")[2].split("/")[0]))
    end.start()
    signal = BeepAndFlash()
    sink = open_sink(f"{scheme}s://127.0.0.1:{end.port}/live/secretkey#verify=off")
    sink.open(signal.stream)
    send(sink, signal, 40)
    sink.close()
    got = receiver.finished()
    end.stop()
    assert len(got.times) == 40
    assert abs(offsets(got)[0]) < LIPS_SECONDS


# ---- not getting in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_refused_is_one_line_without_the_key(scheme):
    sink = open_sink(f"{scheme}://bob:secretpass@127.0.0.1:{free_port()}/live/secretkey")
    with pytest.raises(SinkError, match="connection refused") as caught:
        sink.open(BeepAndFlash().stream)
    assert "secretpass" not in str(caught.value)
    if scheme == "rtmp":
        assert "secretkey" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_a_server_that_never_answers_is_a_timeout(scheme, monkeypatch):
    for module in ("rtmp", "rtsp", "wire"):
        monkeypatch.setattr(f"rtseg.sinks.{module}.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(wire.Wire.receive, "__defaults__", (0.3,))
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = open_sink(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/live/key")
        with pytest.raises(SinkError, match="given no answer"):
            sink.open(BeepAndFlash().stream)


class OneAnswer(threading.Thread):
    """A server that says the same to everything."""

    def __init__(self, answer: bytes):
        super().__init__(daemon=True)
        self.answer = answer
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.heard = b""

    def run(self):
        peer, _ = self.server.accept()
        with peer:
            try:
                while content := peer.recv(65536):
                    self.heard += content
                    number = content.partition(b"CSeq: ")[2].partition(b"\r")[0]
                    peer.sendall(self.answer.replace(b"NUMBER", number))
            except OSError:
                return

    def stop(self):
        self.server.close()
        self.join(2)


@pytest.mark.parametrize(
    ("status", "match"),
    [
        (b"401 Unauthorized", "no access .401"),
        (b"403 Forbidden", "no access .403"),
        (b"404 Not Found", "no such path"),
        (b"415 Unsupported Media Type", "refusal of the codec"),
        (b"461 Unsupported Transport", "refusal of the transport"),
        (b"501 Not Implemented", "takes no streams"),
        (b"503 Busy", "got 503 Busy"),
    ],
)
def test_each_refusal_of_rtsp_has_its_own_words(status, match):
    server = OneAnswer(b"RTSP/1.0 " + status + b'\r\nCSeq: NUMBER\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
    server.start()
    sink = open_sink(f"rtsp://bob:secretpass@127.0.0.1:{server.port}/live")
    with pytest.raises(SinkError, match=match) as caught:
        sink.open(BeepAndFlash().stream)
    server.stop()
    assert "secretpass" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_another_protocol_is_named(scheme):
    server = OneAnswer(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    server.start()
    sink = open_sink(f"{scheme}://127.0.0.1:{server.port}/live/key")
    with pytest.raises(SinkError, match=f"no {scheme.upper()}"):
        sink.open(BeepAndFlash().stream)
    server.stop()


def test_a_peer_that_is_killed_is_noticed():
    url = url_of("rtmp")
    script = str(Path(receivers.__file__))
    root = Path(receivers.__file__).parents[2]
    peer = subprocess.Popen([sys.executable, script, url], env={"PYTHONPATH": str(root)}, stdout=subprocess.DEVNULL)
    port = int(url.split(":")[2].split("/")[0])
    assert wait_until(lambda: receivers.is_listening(port), 20)
    signal = BeepAndFlash()
    sink = open_sink(url)
    sink.open(signal.stream)
    send(sink, signal, 10)
    peer.kill()
    peer.wait()
    with pytest.raises(SinkError, match="lost connection"):
        send(sink, signal, 60)
    sink.abort()
