"""Addresses of live outputs: taken apart, and never shown with their secrets."""

from __future__ import annotations

import pytest

from rtseg.errors import ConfigError
from rtseg.sinks.address import LiveOptions, parse_address
from rtseg.sinks.streams import stream_sink


def test_parts():
    address = parse_address(
        "rtsp://bob:s%40fe@cam.example:8554/live/one?x=1#bitrate=3M,keyframes=1,audio=off,verify=off"
    )
    assert (address.scheme, address.host, address.port) == ("rtsp", "cam.example", 8554)
    assert (address.path, address.query) == ("/live/one", "x=1")
    assert (address.user, address.password) == ("bob", "s@fe")
    assert address.options == LiveOptions(bitrate=3_000_000, keyframes_seconds=1.0, audio=False, verify=False)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("rtmp://h/a/k", 1935),
        ("rtmps://h/a/k", 443),
        ("rtsp://h/p", 554),
        ("rtsps://h/p", 322),
        ("rtsp://[::1]:9/p", 9),
    ],
)
def test_ports(url, port):
    assert parse_address(url).port == port


def test_the_server_is_told_neither_password_nor_options():
    address = parse_address("rtsp://bob:secret@h:8554/p?x=1#bitrate=1M")
    assert address.base == "rtsp://h:8554/p?x=1"


@pytest.mark.parametrize("password", ["secret", "se/cret", "s:e@cret", "secret%2F"])
def test_no_secret_is_shown(password):
    address = parse_address(f"rtsp://bob:{password}@host.example:8554/live?token=secret#bitrate=1M")
    assert address.host == "host.example"
    assert address.password.replace("/", "").replace(":", "").replace("@", "") == "secret"
    for text in (str(address), repr(address)):
        assert "secret" not in text
        assert "cret" not in text


def test_a_stream_key_is_not_shown():
    address = parse_address("rtmp://live.example/app/secretkey")
    assert "secretkey" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("rtmp://bob:secret@/app/key", "no host"),
        ("udp://239.0.0.1", "no port"),
        ("udp://bob:secret@host:nonsense/x", "no usable host"),
        ("rtmp://h:99999/app/secret", "no usable host"),
        ("rtmp://h/secret", "no application and stream key"),
        ("rtsp://h/p#bitrat=3M", "option 'bitrat'"),
        ("rtsp://h/p#bitrate=lots", "bitrate=lots"),
        ("rtsp://h/p#keyframes=0", "keyframes=0"),
        ("rtsp://h/p#audio=maybe", "audio=maybe"),
    ],
)
def test_what_cannot_be_right_is_one_line_without_secrets(url, match):
    with pytest.raises(ConfigError, match=match) as caught:
        stream_sink(url)
    told = str(caught.value)
    assert "\n" not in told
    assert "secret" not in told.replace("rtmp://h/secret", "")
    assert caught.value.__cause__ is None


def test_srt_without_libsrt_is_one_line():
    with pytest.raises(ConfigError, match="without SRT"):
        stream_sink("srt://host.example:9000")
