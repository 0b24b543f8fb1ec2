"""RTSP answers in pieces, and proofs of identity against the examples of the RFCs."""

from __future__ import annotations

import re

import pytest

from rtseg.sinks.rtsp_messages import Answer, AnswerReader, Credentials, request

OK = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: abc;timeout=60\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_answers_among_reports_of_the_receiver(piece):
    content = b"$\x01\x00\x03abc" + OK + b"$\x00\x00\x00" + OK
    reader = AnswerReader()
    got = [a for start in range(0, len(content), piece) for a in reader.feed(content[start : start + piece])]
    assert [(a.status, a.reason, a.headers["session"]) for a in got] == [(200, "OK", "abc;timeout=60")] * 2


@pytest.mark.parametrize("content", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x03" * 50, b"RTSP/1.0 soon\r\n\r\n"])
def test_another_protocol_is_refused(content):
    with pytest.raises(ValueError, match="no RTSP"):
        AnswerReader().feed(content)


def asked(offer: str) -> Answer:
    return Answer(401, "Unauthorized", {"www-authenticate": offer})


def test_digest_of_rfc_2069():
    credentials = Credentials("Mufasa", "CircleOfLife")
    opaque = "5ccc069c403ebaf9f0171e9517f40e41"
    offer = f'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="{opaque}"'
    assert credentials.take_challenge(asked(offer))
    header = credentials.header("GET", "/dir/index.html")["Authorization"]
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in header
    assert f'opaque="{opaque}"' in header
    assert "CircleOfLife" not in header


def test_digest_of_rfc_7616_with_its_client_nonce(monkeypatch):
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    fixed = type("Fixed", (), {"hex": lambda self: cnonce})()
    monkeypatch.setattr("rtseg.sinks.rtsp_messages.os.urandom", lambda count: fixed)
    credentials = Credentials("Mufasa", "Circle of Life")
    offer = (
        'Digest realm="http-auth@example.org", qop="auth", algorithm=SHA-256, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert credentials.take_challenge(asked(offer))
    header = credentials.header("GET", "/dir/index.html")["Authorization"]
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in header


def test_basic_and_the_stronger_of_two():
    credentials = Credentials("Aladdin", "open sesame")
    assert credentials.take_challenge(asked('Basic realm="x"'))
    assert credentials.header("SETUP", "rtsp://h/")["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert credentials.take_challenge(asked('Basic realm="x"\nDigest realm="x", nonce="n"'))
    assert credentials.header("SETUP", "rtsp://h/")["Authorization"].startswith("Digest")


def test_without_a_user_there_is_no_proof():
    credentials = Credentials("", "")
    assert not credentials.take_challenge(asked('Basic realm="x"'))
    assert credentials.header("SETUP", "rtsp://h/") == {}


def test_a_request():
    content = request("ANNOUNCE", "rtsp://h/p", 2, {"Content-Type": "application/sdp"}, b"v=0\r\n")
    assert re.match(rb"ANNOUNCE rtsp://h/p RTSP/1\.0\r\nCSeq: 2\r\n", content)
    assert content.endswith(b"Content-Length: 5\r\n\r\nv=0\r\n")
