"""Who is let in, from where, and with how much."""

from __future__ import annotations

import socket
import time

import pytest

from tests.serve.parts import ServerUnderTest, small_limits

TOKEN = "a-secret-of-tests"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::ffff:8.8.8.8]"]
)
def test_only_this_servers_own_names_are_answered(server, host):
    assert server.ask("GET", "/api/info", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8000", "127.0.0.2"])
def test_loopback_by_any_name_is_answered(server, host):
    assert server.ask("GET", "/healthz", headers={"Host": host}).status == 200


def test_posts_of_other_pages_are_refused(server):
    own = f"127.0.0.1:{server.port}"
    body = b"{}"
    strangers = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{server.port + 1}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    for headers in strangers:
        assert server.ask("POST", "/api/camera", body, {"Host": own, **headers}).status == 403
        assert server.ask("DELETE", "/api/videos/x", None, {"Host": own, **headers}).status == 403
    same = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("POST", "/api/camera", body, same).status == 400  # the control: let in, and no offer


def test_every_answer_carries_the_policy_and_no_answer_is_for_other_sites(server):
    for path in ("/", "/api/info", "/nothing", "/metrics"):
        answer = server.ask("GET", path, headers={"Origin": "http://evil.example"})
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes(server):
    assert server.ask("POST", "/api/camera", b"x" * 300_000).status == 413
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        head = f"POST /api/camera HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode())
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(6):
                client.sendall(piece)
        except OSError:
            pass  # it has answered and ended the connection
        assert b" 413 " in client.recv(4096)


def test_without_the_token_nothing_is_answered_and_with_it_everything():
    with ServerUnderTest(token=TOKEN, backend="fake") as server:
        assert server.ask("GET", "/").status == 401
        assert server.ask("GET", "/api/info").status == 401
        assert server.ask("GET", "/api/info?token=wrong").status == 401
        assert server.ask("GET", "/api/info", headers={"Authorization": "Bearer wrong"}).status == 401
        assert server.ask("GET", "/healthz").status == 200
        assert server.ask("GET", "/api/info", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert server.ask("GET", f"/api/info?token={TOKEN}").status == 200
        page = server.ask("GET", f"/?token={TOKEN}")
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert server.ask("GET", "/api/info", headers={"Cookie": cookie.partition(";")[0]}).status == 200
        assert "set-cookie" not in server.ask("GET", f"/api/info?token={TOKEN}").headers
        # a name of the network leads here too where a token is asked for
        named = {"Host": "studio.example", "Authorization": f"Bearer {TOKEN}"}
        assert server.ask("GET", "/api/info", headers=named).status == 200


def test_slow_senders_are_given_up(monkeypatch):
    monkeypatch.setattr("rtseg.serve.server.HEAD_SECONDS", 0.6)
    monkeypatch.setattr("rtseg.serve.guard.RECEIVE_SECONDS", 0.6)
    with ServerUnderTest(limits=small_limits(), backend="fake") as server:
        head = f"POST /api/camera HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 100\r\n"
        slow = {
            "says nothing": b"",
            "half a head": head.encode(),
            "half a body": f"{head}\r\n{{".encode(),
        }
        for what, sent in slow.items():
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(sent)
                began = time.monotonic()
                answer = b""
                try:
                    while piece := client.recv(4096):
                        answer += piece
                except ConnectionResetError:
                    pass
                assert time.monotonic() - began < 6, what
                assert what != "half a body" or b" 408 " in answer
        assert server.ask("GET", "/healthz").status == 200


def test_a_body_that_trickles_is_given_up(monkeypatch):
    monkeypatch.setattr("rtseg.serve.guard.RECEIVE_SECONDS", 1.0)
    with (
        ServerUnderTest(backend="fake") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as client,
    ):
        head = f"POST /api/videos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 100000\r\n\r\n"
        client.sendall(head.encode())
        began = time.monotonic()
        client.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() - began < 8:
            try:
                client.sendall(b"x")
                answer = client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 6
        assert not answer or b" 408 " in answer


def test_more_connections_than_there_may_be_are_ended():
    with ServerUnderTest(limits=small_limits(connections=5), backend="fake") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(8)]
        try:
            ended = 0
            time.sleep(0.5)
            for client in clients:
                client.settimeout(0.3)
                try:
                    ended += client.recv(1) == b""
                except TimeoutError:
                    continue
                except ConnectionResetError:
                    ended += 1
            assert ended == 3
        finally:
            for client in clients:
                client.close()
