"""What an address says, what FFmpeg is told, and what is refused, before anything is connected."""

from __future__ import annotations

import pytest

from rtseg.errors import ConfigError
from rtseg.sources import open_source
from rtseg.sources.naming import is_live_name
from rtseg.sources.stream_address import demuxer_options, parse_address


def options_of(url: str, **changes) -> dict[str, str]:
    wishes = {"transport": "tcp", "tls_verify": True, "probe_seconds": 1.0, "probe_bytes": 1000} | changes
    return demuxer_options(parse_address(url), **wishes)


def test_an_address_is_taken_apart_and_shown_without_its_user():
    address = parse_address("rtsp://joe:p%40ss@10.0.0.7/cam/1?x=2")
    assert (address.scheme, address.host, address.port) == ("rtsp", "10.0.0.7", 554)
    assert str(address) == "rtsp://***@10.0.0.7/cam/1?x=2"
    assert "p%40ss" not in repr(address)
    assert address.name == "10.0.0.7-cam-1"
    assert address.is_connected
    assert not parse_address("udp://@:1234").is_connected


def test_nothing_asks_ffmpeg_for_nobuffer_and_probing_is_bounded():
    for url in ("rtsp://a/b", "rtmp://a/b/c", "http://a/b", "https://a/b", "udp://1.2.3.4:5"):
        options = options_of(url)
        assert "nobuffer" not in " ".join(options.values())
        assert options["analyzeduration"] == "1000000"
        assert options["probesize"] == "1000"
        assert "file" not in options["protocol_whitelist"].split(",")


def test_rtsp_goes_over_tcp_and_certificates_are_checked_unless_told_otherwise():
    assert options_of("rtsp://a/b")["rtsp_transport"] == "tcp"
    assert options_of("rtsp://a/b", transport="udp")["rtsp_transport"] == "udp"
    assert options_of("rtsps://a/b")["tls_verify"] == "1"
    assert options_of("https://a/b", tls_verify=False)["tls_verify"] == "0"
    assert "tls_verify" not in options_of("http://a/b")


@pytest.mark.parametrize(
    ("url", "telling"),
    [
        ("gopher://u:secret@a/b", "rtsp, rtsps"),
        ("rtsp:///live", "no host"),
        ("rtsp://u:secret@host:port/x", "cannot be read"),
        ("udp://1.2.3.4", "no port"),
    ],
)
def test_an_address_that_cannot_be_right_is_one_line_without_the_secret(url, telling):
    with pytest.raises(ConfigError, match=telling) as caught:
        open_source(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"transport": "pigeon"}, "tcp, udp"),
        ({"open_timeout": "0"}, "open_timeout"),
        ({"open_timeout": "soon"}, "a number"),
        ({"tls_verify": "perhaps"}, "yes or no"),
        ({"colour": "red"}, "unknown option colour.*ffmpeg.NAME"),
        ({"duration": "-1"}, "duration"),
        ({"probe_bytes": "1.5"}, "a whole number"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options, telling):
    with pytest.raises(ConfigError, match=telling):
        open_source("rtsp://u:p@host/x", **options)


def test_options_of_ffmpeg_itself_win_over_all_others():
    source = open_source("rtsp://host/x", transport="tcp", **{"ffmpeg.rtsp_transport": "udp", "ffmpeg.max_delay": 5})
    assert source._options["rtsp_transport"] == "udp"
    assert source._options["max_delay"] == "5"


@pytest.mark.parametrize(
    ("spec", "live"),
    [
        ("rtsp://h/x", True),
        ("udp://:1", True),
        ("http://h/cam.mjpg", True),
        ("https://h/clip.mp4?token=1", False),
        ("screen:", True),
        ("0", True),
        ("clip.mp4", False),
    ],
)
def test_whether_a_source_is_live_is_guessed_from_its_words(spec, live):
    assert is_live_name(spec) is live
