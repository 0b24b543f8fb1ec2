"""From glass to glass through a network: read where the stream arrives, and late where it is made late."""

from __future__ import annotations

import threading
import time

import pytest

from rtseg.backends.fake import FakeBackend
from rtseg.bench.glass import GlassMeasurement, measure_glass
from rtseg.bench.places import sink_in, udp_url
from rtseg.bench.settings import BenchOptions
from rtseg.errors import ConfigError
from rtseg.segmenter import load
from rtseg.sinks import transport

SOURCE = "synthetic:desk?size=320x240&fps=20&live=1"


def measured() -> GlassMeasurement:
    with load("person", backend=FakeBackend(), smoothing=False, edges=False) as segmenter:
        return measure_glass(
            SOURCE, model=segmenter, effect="none", sink=udp_url("udp"), warm_up_frames=5, max_frames=40
        )


def test_codes_are_read_where_the_stream_arrives_and_a_late_network_shows(monkeypatch):
    prompt = measured().glass_ms
    assert prompt["count"] >= 10
    assert prompt["unreadable"] == 0

    write, close = transport.Datagrams.write, transport.Datagrams.close

    def late(self, content):
        threading.Timer(0.5, write, (self, bytes(content))).start()
        return len(content)

    monkeypatch.setattr(transport.Datagrams, "write", late)
    monkeypatch.setattr(transport.Datagrams, "close", lambda self: threading.Timer(1.0, close, (self,)).start())
    monkeypatch.setattr("rtseg.bench.glass_network.DRAIN_SECONDS", 1.5)
    slow = measured().glass_ms
    assert slow["p50"] > prompt["p50"] + 300
    time.sleep(1.0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtseg-")]


def test_places(tmp_path):
    options = BenchOptions()
    assert sink_in(tmp_path, "udp", 0, options).name == "udp"
    assert udp_url("udp://127.0.0.1:5000") == "udp://127.0.0.1:5000"
    with pytest.raises(ConfigError, match="expected this machine"):
        sink_in(tmp_path, "udp://239.0.0.1:5000", 0, options)
