"""Real receivers for the live sinks: FFmpeg, through PyAV, listening for RTMP and RTSP and reading UDP.

Run as a program, it is a peer that can be stopped and killed: `python receivers.py URL SECONDS`.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rtseg.audio_feed import AudioFeed, AudioFormat
from rtseg.sinks.base import StreamFormat
from rtseg.types import Frame

RATE_HZ = 48_000
LISTENING = {
    "rtmp": {"listen": "1", "probesize": "5000", "analyzeduration": "100000"},
    "rtsp": {"rtsp_flags": "listen", "listen_timeout": "10", "analyzeduration": "0"},
    "udp": {"probesize": "100000", "analyzeduration": "500000", "buffer_size": "4000000"},
}


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Find out whether somebody listens, without connecting (a listener of FFmpeg takes one peer only)."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines[1:])


def wait_until(true, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return False


@dataclass
class Received:
    """What came out at the far end, on the far end's clock."""

    times: list[float] = field(default_factory=list)
    luma: list[float] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)
    sample_times: list[float] = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    error: str = ""

    def flashes(self, level: float = 128) -> list[float]:
        """When the picture turns bright."""
        bright = np.array(self.luma) > level
        return [self.times[i] for i in range(1, len(bright)) if bright[i] and not bright[i - 1]]

    def beeps(self, level: float = 0.05, gap_seconds: float = 0.4) -> list[float]:
        """When sound begins after silence."""
        found: list[float] = []
        last = -1.0
        for begin, block in zip(self.sample_times, self.samples, strict=True):
            for index in np.nonzero(np.abs(block) > level)[0]:
                at = begin + index / RATE_HZ
                if at - last > gap_seconds:
                    found.append(at)
                last = at
        return found


class Receiver(threading.Thread):
    """Takes one stream until it ends. It listens as soon as `start` returns."""

    def __init__(self, url: str, *, keep_pictures: bool = False):
        super().__init__(name="receiver", daemon=True)
        self.url = url
        self.got = Received()
        self.keep_pictures = keep_pictures

    def start(self) -> Receiver:
        super().start()
        port = int(self.url.split(":")[2].split("/")[0].split("?")[0])
        if not self.url.startswith("udp"):
            assert wait_until(lambda: is_listening(port) or not self.is_alive())
        else:
            time.sleep(0.3)
        return self

    def finished(self, seconds: float = 10.0) -> Received:
        self.join(seconds)
        assert not self.is_alive() or self.url.startswith("udp"), "the receiver saw no end"
        return self.got

    def run(self) -> None:
        scheme = self.url.partition(":")[0]
        silence_seconds = 1.0 if scheme == "udp" else 2.0  # a datagram stream has no other end
        try:
            with av.open(self.url, options=LISTENING[scheme], timeout=(40, silence_seconds)) as container:
                self._read(container)
        except (av.FFmpegError, OSError) as error:
            self.got.error = f"{type(error).__name__}: {error}"

    def _read(self, container) -> None:
        video = container.streams.video[0]
        for packet in container.demux():
            if packet.size == 0:
                continue
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    self._take_picture(frame)
                else:
                    self.got.sample_times.append(frame.time)
                    self.got.samples.append(frame.to_ndarray().reshape(-1)[: frame.samples])
        context = video.codec_context
        self.got.facts |= {"size_wh": (context.width, context.height), "codec": context.name}

    def _take_picture(self, frame: av.VideoFrame) -> None:
        self.got.arrived.append(time.monotonic())
        self.got.times.append(frame.time or 0.0)  # FFmpeg's RTP reader gives the very first no time
        self.got.luma.append(float(frame.to_ndarray(format="gray").mean()))
        if self.keep_pictures:
            self.got.facts["colorspace"] = int(frame.colorspace)
            self.got.facts["color_range"] = int(frame.color_range)
            self.got.pictures.append(frame.to_ndarray(format="rgb24"))


class BeepAndFlash:
    """A live source: every second a white picture and a tone begin together; sound is ahead of late pictures."""

    def __init__(self, *, size_wh=(160, 120), start_seconds=7.0, codec="pcm_s16le", fps=30):
        self.feed = AudioFeed(AudioFormat(codec, RATE_HZ, "mono", 1))
        self.start_seconds = start_seconds
        self.fps = fps
        self.size_wh = size_wh
        self._put = 0
        self.stream = StreamFormat(
            source_id="beep",
            size_wh=size_wh,
            time_base=Fraction(1, 90_000),
            frame_rate=Fraction(fps),
            classes=("a", "b"),
            palette=((0, 0, 0), (255, 0, 0)),
            matrix="bt709",
            audio_feed=self.feed,
        )

    def seconds(self, index: int) -> float:
        return self.start_seconds + index / self.fps

    def frame(self, index: int, *, sound_ahead_seconds: float = 0.5) -> Frame:
        """The frame of that number; the sound up to so much later is put into the feed first."""
        self.put_sound(self.seconds(index) + sound_ahead_seconds)
        lit = index % self.fps < 4
        picture = np.full((self.size_wh[1], self.size_wh[0], 3), 235 if lit else 20, np.uint8)
        ticks = round(self.seconds(index) * 90_000)
        return Frame(picture, index, ticks, Fraction(1, 90_000), time.monotonic_ns(), "beep")

    def put_sound(self, until_seconds: float) -> None:
        while (begin := self.start_seconds + self._put / RATE_HZ) < until_seconds:
            t = np.arange(self._put, self._put + 960) / RATE_HZ
            tone = 0.5 * np.sin(2 * np.pi * 1000 * t) * (t % 1.0 < 4 / self.fps)
            self.feed.put((tone * 32767).astype(np.int16).tobytes(), begin, 0.02)
            self._put += 960


def offsets(got: Received) -> list[float]:
    """How much later each beep is heard than its flash is seen, in seconds."""
    flashes, beeps = got.flashes(), got.beeps()
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes if beeps]


def main() -> None:
    """Read a URL for a while, then leave."""
    receiver = Receiver(sys.argv[1])
    receiver.run()
    sys.stdout.write(f"{len(receiver.got.times)} {receiver.got.error}\n")


if __name__ == "__main__":
    main()
