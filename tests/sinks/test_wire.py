"""The connection: every way of not getting one has its own message, and nothing waits for ever."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from rtseg.errors import SinkError
from rtseg.sinks import wire
from rtseg.sinks.address import parse_address
from rtseg.sinks.wire import Wire
from tests.sinks.receivers import free_port
from tests.sinks.tls import TlsEnd, make_certificate


@pytest.fixture
def silent_server():
    """Accepts (the system does), and never reads nor answers."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen(4)
        yield server.getsockname()[1]


def connected(port: int) -> Wire:
    own = Wire(parse_address(f"rtsp://127.0.0.1:{port}/p"))
    own.connect()
    return own


def test_refused():
    with pytest.raises(SinkError, match="connection refused"):
        connected(free_port())


def test_no_such_host():
    with pytest.raises(SinkError, match="no address for the host"):
        Wire(parse_address("rtsp://no-such-host.invalid/p")).connect()


def test_no_answer_in_time(silent_server):
    own = connected(silent_server)
    with pytest.raises(SinkError, match=r"given no answer for 0\.2 s"):
        own.receive(0.2)
    own.close()


def test_a_peer_that_takes_nothing_is_given_up(silent_server, monkeypatch):
    monkeypatch.setattr(wire, "STALL_SECONDS", 0.2)
    own = connected(silent_server)
    with pytest.raises(SinkError, match="taken nothing"):
        own.send(b"x" * 50_000_000)
    own.close()


def test_a_cut_ends_a_wait_at_once(silent_server):
    own = connected(silent_server)
    timer = threading.Timer(0.2, own.cut)
    timer.start()
    began = time.monotonic()
    with pytest.raises(SinkError, match="stopped"):
        own.send(b"x" * 50_000_000)
    assert time.monotonic() - began < 1.0
    timer.join()
    own.close()


def test_a_closed_connection_is_noticed():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        own = connected(server.getsockname()[1])
        peer, _ = server.accept()
        assert own.pending() == b""
        peer.close()
        time.sleep(0.05)
        with pytest.raises(SinkError, match="closed the connection"):
            own.pending()
        own.close()


# ---- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that nobody trusts."""
    return make_certificate(tmp_path_factory.mktemp("tls")) or pytest.skip("openssl is absent")


@pytest.fixture
def tls_port(certificate):
    server = TlsEnd(certificate)
    server.start()
    yield server.port
    server.stop()


def test_a_certificate_that_is_not_trusted_is_refused_and_named(tls_port):
    with pytest.raises(SinkError, match="not trusted"):
        Wire(parse_address(f"rtsps://127.0.0.1:{tls_port}/p")).connect()


def test_the_check_can_be_left_out_and_much_goes_through(tls_port):
    own = Wire(parse_address(f"rtsps://127.0.0.1:{tls_port}/p#verify=off"))
    own.connect()
    content = bytes(range(256)) * 1000
    own.send(content)
    got = b""
    while len(got) < len(content):
        got += own.receive()
    assert got == content
    own.close()


def test_no_tls_there(silent_server, monkeypatch):
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.3)
    with pytest.raises(SinkError, match="timeout"):
        Wire(parse_address(f"rtsps://127.0.0.1:{silent_server}/p")).connect()
