"""No secret survives, whatever it is made of, and what is no secret stays readable."""

from __future__ import annotations

import pytest

from rtseg.redaction import redact, safe_name

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtsp://admin:{SECRET}@10.0.0.7:554/cam/1", "rtsp://***@10.0.0.7:554/cam/1"),
        (f"rtsps://{SECRET}@host/x", "rtsps://***@host/x"),
        (f"rtsp://admin:{SECRET}@{SECRET}/{SECRET}:x@host/live", "rtsp://***@host/live"),
        (f"http://host/a.mjpg?user=joe&password={SECRET}&w=640", "http://host/a.mjpg?user=***&password=***&w=640"),
        (f"https://h/x.m3u8?X-Amz-Signature={SECRET}", "https://h/x.m3u8?X-Amz-Signature=***"),
        (f"https://h/x.m3u8?access_token={SECRET}#t=1", "https://h/x.m3u8?access_token=***#t=1"),
        (f"rtmp://a.example.com/live2/{SECRET}", "rtmp://a.example.com/live2/***"),
        (f"rtmps://a.example.com:443/app/{SECRET}?backup=1", "rtmps://a.example.com:443/app/***?backup=1"),
        (f"srt://host:9000?streamid=read:{SECRET}&passphrase={SECRET}", "srt://host:9000?streamid=***&passphrase=***"),
        (f"Authorization: Basic {SECRET}", "Authorization: ***"),
        (
            f"open 'http://u:{SECRET}@h/x' failed; retry http://u:{SECRET}@h/y",
            "open 'http://***@h/x' failed; retry http://***@h/y",
        ),
    ],
)
def test_secrets_are_hidden_and_the_rest_stays(text, shown):
    assert SECRET in text
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://host/live",
        "http://h/a.mjpg?w=640&monkey=3",
        "/home/a@b/clip.mp4",
        "write to x@example.com",
        "0",
        "udp://@239.0.0.1:1234",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert redact(text) == text


def test_a_name_for_files_has_no_secret_and_no_path():
    name = safe_name(f"rtsp://joe:{SECRET}@10.0.0.7:554/cam/../1?token={SECRET}")
    assert name == "10.0.0.7-554-cam-..-1"
    assert safe_name(f"rtmp://a/live/{SECRET}") == "a-live"
    assert safe_name("://") == "stream"
