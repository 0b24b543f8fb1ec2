"""Cameras, through the device formats of FFmpeg: v4l2 on Linux, avfoundation on macOS, dshow on Windows."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.error import FFmpegError

from rtseg.errors import ConfigError, SourceError
from rtseg.sources import v4l2
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.camera_devices import System, find_device, list_cameras, open_device, open_error, system_of
from rtseg.sources.camera_modes import CameraMode, check_wishes, choose_mode, list_in_words, open_options
from rtseg.sources.options import check_rate
from rtseg.sources.pixels import PictureReader, color_of, orientation_of, primaries_and_transfer_of
from rtseg.sources.timestamps import PtsMender
from rtseg.types import Frame

MOST_FAILURES_IN_A_ROW: Final = 32
"""After so many reads or packets that failed without a frame between them, the camera counts as gone."""


class CameraSource(Source):
    """A camera; live, so that the freshest frame counts.

    Size, rate and format are negotiated in one open call. The first frame decides what the camera really gives.
    """

    def __init__(
        self,
        device: str | int = "0",
        *,
        size_wh: tuple[int, int] | None = None,
        fps: float | Fraction | None = None,
        pixel_format: str | None = None,
        duration_seconds: float | None = None,
        source_id: str | None = None,
    ) -> None:
        """Describe the camera.

        Args:
            device: index, device path, or a part of the camera's name.
            size_wh: width and height; None takes the best up to 1280x720.
            fps: least frames a second; None prefers 30.
            pixel_format: such as "mjpeg" or "yuyv422"; None prefers mjpeg above 640x480.
            duration_seconds: how long to read; None is without end.
            source_id: name in stats and file names; None is camera and number or name.

        Raises:
            ConfigError: a wish that cannot be right.
        """
        super().__init__()
        self._device = str(device)
        check_wishes(size_wh=size_wh, pixel_format=pixel_format, device=self._device)
        self._size_wh = size_wh
        self._fps = None if fps is None else check_rate(fps, what=f"camera {device}")
        self._pixel_format = pixel_format
        if duration_seconds is not None and not duration_seconds > 0:
            raise ConfigError(f"camera {device}: got duration {duration_seconds} s; expected more than 0. Change it.")
        self._duration_seconds = duration_seconds
        self._source_id = source_id or f"camera_{Path(self._device).name}"
        self._info: SourceInfo | None = None
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._pictures = PictureReader()
        self._next_index = 0
        self._begun_ns: int | None = None

    @property
    def can_reopen(self) -> bool:
        """True: a camera that was unplugged is found again when it is back."""
        return True

    @property
    def info(self) -> SourceInfo:
        """What is known of the camera. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError(f"camera {self._device}: got one that is not open; expected open() first. Open it.")
        return self._info

    def open(self) -> None:
        """Negotiate a mode, open the camera and wait for its first frame.

        Raises:
            SourceError: there is no such camera, it may not be used, is busy, or no mode fits.
        """
        system = system_of(sys.platform)
        address = find_device(self._device, list_cameras())
        mode = self._negotiate(system, address)
        options = open_options(
            system,
            size_wh=self._size_wh if mode is None else mode.size_wh,
            fps=self._asked_fps(mode),
            pixel_format=self._pixel_format if mode is None else mode.pixel_format,
        )
        self._container = open_device(system, address, options)
        try:
            frames = self._decode(self._container)
            first = next(frames)
            self._info = self._describe(self._container, first, options)
            self.counters.reconnects += self._begun_ns is not None
        except SourceError:
            self.close()
            raise
        self._frames = itertools.chain((first,), frames)

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they come; the first has pts 0, and after a reconnection number and time go on.

        Raises:
            SourceError: the camera went away.
        """
        info = self.info
        mender = PtsMender(time_base=info.time_base, frame_rate=info.frame_rate)
        mended_before = self.counters.mended_pts
        offset: int | None = None
        for decoded in self._frames:
            captured_ns = time.monotonic_ns()
            if offset is None and decoded.pts is not None:
                offset = self._ticks_since_begin(captured_ns, info.time_base) - decoded.pts
            pts = mender.mend(None if decoded.pts is None or offset is None else decoded.pts + offset)
            if self._duration_seconds is not None and pts * info.time_base >= self._duration_seconds:
                return
            frame_index, self._next_index = self._next_index, self._next_index + 1
            self.counters.decoded = self._next_index
            self.counters.mended_pts = mended_before + mender.mended
            yield Frame(
                picture=self._pictures.read(decoded),
                frame_index=frame_index,
                pts=pts,
                time_base=info.time_base,
                captured_ns=captured_ns,
                source_id=info.source_id,
            )

    def _ticks_since_begin(self, captured_ns: int, time_base: Fraction) -> int:
        """Return the time of a connection's first frame, in ticks: 0 for the very first, then what has passed since."""
        if self._begun_ns is None:
            self._begun_ns = captured_ns
        return round((captured_ns - self._begun_ns) / 1_000_000_000 / time_base)

    def close(self) -> None:
        """Give the camera back; idempotent."""
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _negotiate(self, system: System, address: str) -> CameraMode | None:
        """Return the mode to ask for; None where the system does not tell the modes before opening."""
        if system != "v4l2":
            return None
        try:
            modes = v4l2.list_modes(Path(address))
        except OSError as error:
            raise open_error(address, error, modes=[]) from error
        if not modes:
            return None
        mode = choose_mode(
            modes,
            size_wh=self._size_wh,
            fps=None if self._fps is None else float(self._fps),
            pixel_format=self._pixel_format,
        )
        if mode is None:
            raise SourceError(
                f"camera {address}: got a wish for {self._wish()}; expected one of its modes: {list_in_words(modes)}. "
                "Ask for one of them."
            )
        return mode

    def _asked_fps(self, mode: CameraMode | None) -> float | None:
        if self._fps is not None:
            return float(self._fps)
        return mode.fps or None if mode is not None else None

    def _wish(self) -> str:
        size = "any size" if self._size_wh is None else f"{self._size_wh[0]}x{self._size_wh[1]}"
        rate = "any rate" if self._fps is None else f"{float(self._fps):g} fps"
        return f"{size}, {self._pixel_format or 'any format'}, {rate}"

    def _decode(self, container: InputContainer) -> Iterator[av.VideoFrame]:
        """Yield frames without end; what is broken is skipped and counted, a camera that fails on and on is gone."""
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads would hold pictures back
        failures_in_a_row = 0
        while failures_in_a_row < MOST_FAILURES_IN_A_ROW:
            try:
                for packet in container.demux(stream):
                    for frame in packet.decode():
                        failures_in_a_row = 0
                        yield frame
                break
            except FFmpegError:
                failures_in_a_row += 1
                self.counters.decode_errors += 1
        raise SourceError(
            f"camera {self._device}: got no more pictures; expected it to go on. Is it still plugged in? Start again."
        )

    def _describe(self, container: InputContainer, first: av.VideoFrame, options: dict[str, str]) -> SourceInfo:
        stream = container.streams.video[0]
        size_wh = orientation_of(first).size_wh((first.width, first.height))
        if self._size_wh is not None and size_wh != self._size_wh:
            raise SourceError(
                f"camera {self._device}: got {size_wh[0]}x{size_wh[1]}; expected {self._wish()}. "
                "The driver chose another size: ask for that one."
            )
        matrix, full_range = color_of(first)
        color_primaries, color_transfer = primaries_and_transfer_of(first)
        return SourceInfo(
            source_id=self._source_id,
            kind="camera",
            live=True,
            size_wh=size_wh,
            time_base=stream.time_base or Fraction(1, 1_000_000),
            frame_rate=stream.average_rate or self._fps,
            duration_seconds=self._duration_seconds,
            matrix=matrix,
            full_range=full_range,
            color_primaries=color_primaries,
            color_transfer=color_transfer,
            details={"codec": stream.codec_context.name, "pixel_format": first.format.name, **options},
        )
