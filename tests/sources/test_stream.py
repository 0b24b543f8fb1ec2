"""Network streams from real senders on this machine: what arrives, what is said when it does not."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
import wave
from collections import deque

import av
import pytest

from benchmarks.live.senders import UdpSender, WebServer, encoded_ts, free_port, silent_server
from rtseg.errors import DecodeError, SourceError
from rtseg.sources import open_source
from tests.conftest import write_clip

SIZE_WH = (160, 120)


def stream(url, **options):
    return open_source(url, **{"open_timeout_seconds": 8.0, "probe_seconds": 0.3} | options)


def first_frames(source, count=12):
    return list(itertools.islice(source.frames(), count))


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    write_clip(folder / "clip.mp4", frames=30)
    (folder / "page.html").write_text("<!doctype html><html><body>Please log in.</body></html>\n" * 20)
    with wave.open(str(folder / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(bytes(16_000))
    write_hls(folder)
    with WebServer(folder, fps=40) as server:
        yield server


def write_hls(folder):
    """Write a finished HLS recording of two segments."""
    options = {"hls_time": "1", "hls_playlist_type": "vod", "hls_segment_filename": str(folder / "part%d.ts")}
    with av.open(str(folder / "vod.m3u8"), "w", format="hls", options=options) as out:
        video = out.add_stream("libx264", rate=10, options={"g": "10", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame(96, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([index * 10]) * plane.buffer_size)
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def test_mpeg_ts_over_udp_is_live_with_rising_times_and_sound():
    port = free_port()
    with UdpSender(port, size_wh=SIZE_WH, fps=30, with_sound=True), stream(f"udp://127.0.0.1:{port}") as source:
        assert source.info.live
        assert source.info.size_wh == SIZE_WH
        reader = source.audio.reader()
        frames = first_frames(source, 30)
        packets = reader.take_until(frames[-1].pts_seconds + 1)
    times = [frame.pts_seconds for frame in frames]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert [frame.frame_index for frame in frames] == list(range(30))
    assert (source.audio.codec, source.audio.sample_rate, source.audio.channels) == ("aac", 48_000, 1)
    assert packets
    assert all(0 <= packet.pts_seconds <= times[-1] + 1 for packet in packets)
    assert source.info.details["address"] == f"udp://127.0.0.1:{port}"


def test_mjpeg_over_http_is_timed_by_its_arrival(web):
    with stream(web.url("cam.mjpg", user="joe:secret")) as source:
        assert source.info.live
        frames = first_frames(source, 20)
    span = frames[-1].pts_seconds - frames[2].pts_seconds
    assert 0.5 * 17 / 40 < span < 20 * 17 / 40  # the 25 a second that FFmpeg makes up would be right on no machine
    assert source.info.frame_rate is None
    assert "secret" not in repr(source.info)


def test_mpeg_ts_over_http_is_live(web):
    with stream(web.url("live.ts")) as source:
        assert source.info.live
        assert source.info.details["codec"] == "h264"
        assert len(first_frames(source)) == 12


@pytest.mark.parametrize(("name", "count"), [("clip.mp4", 30), ("vod.m3u8", 20)])
def test_what_has_a_length_is_read_to_its_end(web, name, count):
    with stream(web.url(name)) as source:
        assert not source.info.live
        assert not source.can_reopen
        frames = list(source.frames())
    assert len(frames) == count
    assert source.info.frame_count == pytest.approx(count, abs=1)
    assert source.state == "ended"


def test_a_duration_ends_a_live_stream(web):
    with stream(web.url("live.ts"), duration_seconds=0.5) as source:
        frames = list(source.frames())
    assert frames[-1].pts_seconds < 0.5 <= frames[-1].pts_seconds + 0.1


def test_a_stream_that_breaks_off_says_so_and_can_be_opened_again():
    with WebServer(fps=60) as server:
        source = stream(server.url("live.ts"))
        source.open()
        frames = []

        def see(frame):
            frames.append(frame)
            server.going = len(frames) < 10

        with pytest.raises(SourceError, match="expected it to go on"):
            deque(map(see, source.frames()))
        source.close()
        server.going = True
        time.sleep(0.2)
        source.open()
        again = first_frames(source, 5)
        source.close()
    assert source.counters.reconnects == 1
    assert again[0].frame_index == frames[-1].frame_index + 1
    assert again[0].pts_seconds > frames[-1].pts_seconds


def test_a_change_of_size_is_gone_along_with_and_noted():
    port = free_port()
    with UdpSender(port, size_wh=SIZE_WH, fps=30, gop=5) as sender, stream(f"udp://127.0.0.1:{port}") as source:
        sizes = []
        for frame in source.frames():
            sizes.append(frame.size_wh)
            if len(sizes) == 10:
                sender.change(size_wh=(96, 80))
            if sizes[-1] == (96, 80) or len(sizes) > 200:
                break
        assert source.info.size_wh == SIZE_WH
    assert sizes[-1] == (96, 80)
    assert any("96x80" in note for note in source.counters.notes)


@pytest.mark.parametrize(("drop", "garble"), [(0.2, 0.0), (0.0, 0.3)])
def test_packets_that_are_lost_or_garbled_cost_pictures_and_not_the_stream(drop, garble):
    port = free_port()
    with UdpSender(port, size_wh=SIZE_WH, fps=60, gop=6) as sender, stream(f"udp://127.0.0.1:{port}") as source:
        sender.drop_share, sender.garble_share = drop, garble
        frames = first_frames(source, 60)
    times = [frame.pts_seconds for frame in frames]
    assert len(frames) == 60
    assert times == sorted(set(times))


def test_pictures_that_nobody_refers_to_can_be_left_out(tmp_path):
    """With B-frames, two of three pictures are left out; key frames and their successors are not."""
    path = tmp_path / "b.ts"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30, options={"bf": "2", "g": "30", "b-pyramid": "none", "b-adapt": "0"})
        video.width, video.height, video.pix_fmt = *SIZE_WH, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame(*SIZE_WH, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([index * 4]) * plane.buffer_size)
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    counts = {}
    with WebServer(tmp_path) as server:
        for skip in (False, True):
            with stream(server.url("b.ts"), live=True, low_delay=False) as source:
                source.skip_disposable(skip)
                seen: list[int] = []
                with pytest.raises(SourceError, match="its end"):
                    deque(seen.append(frame.frame_index) for frame in source.frames())
                counts[skip] = len(seen)
    assert counts[False] >= 57
    assert counts[True] < 0.5 * counts[False]


@pytest.mark.parametrize(
    ("path", "telling"),
    [
        ("401", "401.*user name or password"),
        ("403", "403"),
        ("404", "404.*no such stream"),
        ("500", "the answer"),
        ("page.html", "no video stream"),
        ("tone.wav", "audio and no video"),
    ],
)
def test_each_answer_of_a_server_has_its_own_words(web, path, telling):
    with pytest.raises(SourceError, match=telling) as caught:
        stream(web.url(path, user="joe:secret")).open()
    assert "secret" not in str(caught.value)
    assert "joe" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "telling"),
    [
        ("rtsp://joe:secret@127.0.0.1:1/x", "refused"),
        ("rtmp://127.0.0.1:1/app/secret", "refused"),
        ("http://nowhere.invalid/x", "host name that does not exist"),
        ("srt://127.0.0.1:1?passphrase=secret", "srt, which this FFmpeg lacks"),
    ],
)
def test_each_way_to_fail_has_its_own_words(url, telling):
    source = stream(url)
    if url.startswith("srt"):
        from rtseg.sources.stream_facts import missing_protocols

        if "srt" not in missing_protocols():
            pytest.skip("this FFmpeg has SRT")
    with pytest.raises(SourceError, match=telling) as caught:
        source.open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp"])
def test_a_server_that_says_nothing_is_a_timeout(scheme):
    with silent_server() as port:
        started = time.monotonic()
        with pytest.raises(SourceError, match="timeout"):
            stream(f"{scheme}://127.0.0.1:{port}/a/b", open_timeout_seconds=0.6).open()
        assert time.monotonic() - started < 6


def test_no_sender_is_a_timeout_that_asks_for_the_sender():
    with pytest.raises(SourceError, match=r"no packet within.*timeout"):
        stream(f"udp://127.0.0.1:{free_port()}", open_timeout_seconds=0.6).open()


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_a_port_without_tls_is_told_from_one_with_a_bad_certificate(web, scheme):
    with pytest.raises(SourceError, match="no TLS on that port"):
        stream(f"{scheme}://127.0.0.1:{web.port}/x").open()


def test_a_certificate_that_is_not_trusted_is_named_and_can_be_accepted(tmp_path):
    key, certificate = _self_signed(tmp_path)
    import ssl
    from http.server import HTTPServer

    with WebServer(tmp_path, fps=30) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        assert isinstance(server._server, HTTPServer)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.port}/cam.mjpg"
        with pytest.raises(SourceError, match="certificate that is not trusted"):
            stream(url).open()
        with stream(url, tls_verify=False) as source:
            assert len(first_frames(source, 3)) == 3


def _self_signed(folder):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is absent")
    return key, certificate


def test_a_stream_without_a_key_frame_is_a_decode_error(tmp_path):
    """What begins in the middle: the packets before the first key frame are all there is."""
    chunks: list[bytes] = []
    encoded_ts(chunks.append, lambda: len(chunks) < 400, gop=1000, paced=False)
    data = b"".join(chunks)
    with av.open(_bytes(data)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    (tmp_path / "middle.ts").write_bytes(data[: positions[0]] + data[positions[5] :])
    with WebServer(tmp_path) as server, pytest.raises((DecodeError, SourceError)):
        stream(server.url("middle.ts"), live=True, open_timeout_seconds=1.0).open()


def _bytes(data):
    import io

    return io.BytesIO(data)


def test_an_open_that_hangs_in_a_thread_ends_when_it_is_interrupted():
    with silent_server() as port:
        source = stream(f"rtsp://127.0.0.1:{port}/x", open_timeout_seconds=30.0)
        failed: list[Exception] = []

        def body():
            try:
                source.open()
            except SourceError as error:
                failed.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        time.sleep(0.4)
        started = time.monotonic()
        source.interrupt()
        thread.join(10)
        assert time.monotonic() - started < 2
    assert "stop" in str(failed[0])
