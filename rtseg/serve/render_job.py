"""One video through the engine, off the event loop: the pictures for a browser, the masks, and the class shares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rtseg.api import RunOptions, describe, pipelines_for
from rtseg.errors import ConfigError, DecodeError
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.report import Progress
from rtseg.render.effects import Effect
from rtseg.segmenter import Segmenter
from rtseg.serve.faststart import make_faststart
from rtseg.serve.masks_zip import MasksZipSink
from rtseg.serve.shares import SharesSink
from rtseg.sinks import open_sink
from rtseg.sinks.base import StreamFormat
from rtseg.sources import open_source

FASTEST_HZ: Final = 120
"""No video is taken to have more frames a second; together with the longest time, the most frames."""
MASKS_BYTES: Final = 2_000_000_000


class Cancelled(Exception):
    """The work was told to end."""


@dataclass(slots=True)
class RenderJob:
    """What is to be made of one upload, and how far it is.

    Threading: `run` in one thread; `cancel` and reading from any.
    """

    upload: Path
    folder: Path
    """Where what is made goes; made for it alone."""
    segmenter: Segmenter
    effects: Sequence[Effect]
    video_seconds: float
    """No more of the video is taken."""
    needs_copy: bool
    """Whether a browser cannot play the upload itself."""
    frames_done: int = 0
    frames_expected: int | None = None
    fps: float | None = None
    shares: SharesSink = field(default_factory=SharesSink)
    notes: list[str] = field(default_factory=list)
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _pipeline: Pipeline | None = None

    def cancel(self) -> None:
        """End the work soon; idempotent."""
        self._cancelled.set()
        if self._pipeline is not None:
            self._pipeline.stop()

    def run(self) -> None:
        """Do all of it.

        Raises:
            Cancelled: it was told to end.
            RtsegError: the video or the disk does not allow it.
        """
        self.folder.mkdir(mode=0o700)
        sinks = [
            open_sink(self.folder / "result.mp4"),
            MasksZipSink(self.folder / "masks.zip", most_bytes=MASKS_BYTES),
            self.shares,
        ]
        options = RunOptions(
            effects=self.effects,
            duration_seconds=self.video_seconds,
            max_frames=round(self.video_seconds * FASTEST_HZ),
        )
        source = describe(self.upload, options)
        (self._pipeline,) = pipelines_for(
            [source], self.segmenter, sinks, options, described=[source], on_progress=self._progress
        )
        if not self._cancelled.is_set():
            stats = self._pipeline.run()
            self.notes += stats.notes
        self._pipeline = None
        self._check()
        make_faststart(self.folder / "result.mp4")
        self._write_csv()
        if self.needs_copy:
            browser_copy(self.upload, self.folder.parent / "source.mp4", self.video_seconds, self._check)

    def _progress(self, progress: Progress) -> None:
        self.frames_done, self.frames_expected = progress.frames_done, progress.frames_expected
        self.fps = progress.fps

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _write_csv(self) -> None:
        with (self.folder / "shares.csv").open("w", encoding="utf-8") as file:
            file.writelines(self.shares.csv_lines())


def browser_copy(upload: Path, target: Path, video_seconds: float, check: Callable[[], None]) -> None:
    """Write a video anew as H.264 that a browser plays, its sound along with it; nothing where it is there already.

    Args:
        upload: what cannot be played as it is.
        target: the MP4.
        video_seconds: no more of it is taken.
        check: called between frames; what it raises ends the work.

    Raises:
        RtsegError: the video cannot be decoded, or the disk is full.
    """
    if target.exists():
        return
    with open_source(upload, duration_seconds=video_seconds) as source, open_sink(target) as sink:
        info = source.info
        if info.size_wh[0] * info.size_wh[1] == 0:
            raise ConfigError("video: got a picture without pixels; expected some. Choose another file.")
        sink.open(
            StreamFormat(
                source_id=info.source_id,
                size_wh=info.size_wh,
                time_base=info.time_base,
                frame_rate=info.frame_rate,
                classes=(),
                palette=(),
                matrix=info.matrix,
                full_range=info.full_range,
                color_primaries=info.color_primaries,
                color_transfer=info.color_transfer,
                audio_path=info.path if info.has_audio else None,
                end_seconds=info.end_seconds,
            )
        )
        frame = None
        for frame in source.frames():
            check()
            sink.write(frame, None)
        if frame is None:
            raise DecodeError("video: got no picture that can be decoded; expected one. Choose another file.")
    make_faststart(target)
