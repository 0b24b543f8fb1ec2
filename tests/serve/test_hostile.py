"""Hostile requests: no 500, no hang, and the live picture goes on. The thousand: benchmarks/live/hostile.py."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.live import hostile
from rtseg.serve import rtc
from tests.serve.parts import ServerUnderTest, run, wait_until

COUNT = 160


@pytest.mark.timeout(240)
def test_hostile_requests_do_no_harm(monkeypatch):
    monkeypatch.setattr("rtseg.serve.guard.RECEIVE_SECONDS", 2.0)
    monkeypatch.setattr("rtseg.serve.server.HEAD_SECONDS", 2.0)
    monkeypatch.setattr(hostile, "LONG_PAUSE_SECONDS", 3.0)
    monkeypatch.setattr(rtc, "CONNECT_SECONDS", 3.0)
    with ServerUnderTest(streams=("scene=synthetic:desk?size=96x64&fps=10",), backend="fake") as server:
        watcher = hostile.Watcher(server.port, "scene")
        run(wait_until(lambda: watcher.times, 30))
        began = time.monotonic()
        outcomes = hostile.assault(server.port, COUNT)
        ended = time.monotonic()
        told = hostile.summary(outcomes)
        assert told["server_errors"] == 0, told
        assert told["hangs"] == 0, told
        assert set(told["by_kind"]) >= {"sdp", "json", "file", "slow", "broken http"}
        assert "200" in told["by_kind"]["sdp"]  # some offers are taken: the dice leave them whole
        assert watcher.frames(began, ended) > 2
        run(wait_until(lambda: watcher.times[-1] > ended, 10))
        watcher.close()
        run(wait_until(lambda: not server.room.cameras and not server.room.viewers, 20))
        run(wait_until(lambda: not any(t.name == "rtseg-camera" for t in threading.enumerate()), 10))


def test_the_summary_notices_errors_and_hangs():
    outcomes = [hostile.Outcome("sdp", 500, 0.1, False), hostile.Outcome("slow", None, 30.0, True)]
    told = hostile.summary(outcomes)
    assert (told["server_errors"], told["hangs"], told["slowest_seconds"]) == (1, 1, 30.0)


def test_an_error_of_the_servers_own_is_a_500_that_is_told(server, monkeypatch, caplog):
    monkeypatch.setattr(server.room, "stats", lambda: 1 / 0)
    answer = server.ask("GET", "/api/stats")
    assert answer.status == 500
    assert "report" in answer.json["error"]
    run(wait_until(lambda: "ZeroDivisionError" in caplog.text, 5))
    monkeypatch.undo()
    assert server.ask("GET", "/api/stats").status == 200
