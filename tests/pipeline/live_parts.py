"""Live sources that fall silent, break off, lag and come back on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from rtseg.errors import SourceError
from rtseg.sources.base import CodedPacket, PacketSource, SourceInfo
from rtseg.types import Frame


class ScriptedSource(PacketSource):
    """Each connection yields the packets of one script: "k" key frame, "p" other, "b" disposable, "x" broken,
    "-" waits 50 ms, "~" is silent until interrupted, "!" breaks off; so does the end of a script, but the last."""

    def __init__(self, *scripts: str, interval_seconds=0.01, decode_seconds=0.0, can_reopen=True, fails_open=0):
        super().__init__()
        self.scripts = list(scripts)
        self.interval_seconds = interval_seconds
        self.decode_seconds = decode_seconds
        self.reopens = can_reopen
        self.fails_open = fails_open
        self.opens: list[float] = []
        self.closes = 0
        self.decoded: list[str] = []
        self.skips = False
        self.restarts = 0
        self.same_picture = False
        self._index = 0
        self._interrupted = threading.Event()

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("scripted", "stream", True, (64, 48), Fraction(1, 1000), frame_rate=Fraction(100))

    @property
    def can_reopen(self) -> bool:
        return self.reopens

    def interrupt(self) -> None:
        self._interrupted.set()

    def open(self) -> None:
        self.opens.append(time.monotonic())
        if self.fails_open and len(self.opens) > 1:
            self.fails_open -= 1
            raise SourceError("opening rtsp://***@x: got refused; expected a server. Start it.")
        if len(self.opens) > 1:
            self.counters.reconnects += 1

    def packets(self) -> Iterator[CodedPacket]:
        for word in self.scripts.pop(0):
            if self._interrupted.is_set():
                raise SourceError("interrupted")
            if word == "-":
                time.sleep(0.05)
            elif word == "~":
                self._interrupted.wait(20)
                raise SourceError("interrupted")
            elif word == "!":
                raise SourceError("stream: got its end; expected it to go on.")
            else:
                yield CodedPacket(word, time.monotonic_ns(), word == "k", 100)
                time.sleep(self.interval_seconds)
        if self.scripts:
            raise SourceError("stream: got its end; expected it to go on.")

    def decode(self, packet: CodedPacket) -> list[Frame]:
        word = str(packet.payload)
        if self.skips and word == "b":
            return []
        if word == "x":
            self.counters.decode_errors += 1
            return []
        time.sleep(self.decode_seconds)
        self.decoded.append(word)
        index, self._index = self._index, self._index + 1
        picture = np.full((48, 64, 3), 5 if self.same_picture else index % 250, np.uint8)
        picture.flags.writeable = False
        self.counters.decoded += 1
        return [Frame(picture, index, round(time.monotonic() * 1000), Fraction(1, 1000), time.monotonic_ns(), "s")]

    def skip_disposable(self, skip: bool) -> None:
        self.skips = skip

    def restart_decoder(self) -> None:
        self.restarts += 1

    def close(self) -> None:
        self.closes += 1
        self._interrupted.clear()


def until(happened: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    """Wait until something happened; fail where it does not."""
    deadline = time.monotonic() + timeout_seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
