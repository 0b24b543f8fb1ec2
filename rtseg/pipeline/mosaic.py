"""One picture made of the newest frames of several pipelines, at a steady rate, into sinks of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from rtseg import color
from rtseg.errors import ConfigError
from rtseg.pipeline.delivery import Delivery
from rtseg.pipeline.stage import Place
from rtseg.render.panels import Panel, even, text_width_px
from rtseg.segmenter import Segmenter
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.stats import Stats
from rtseg.types import Frame, Segmentation, UInt8Array

MOSAIC_WH: Final = (1280, 720)
MOSAIC_FPS: Final = 30
GROUND: Final = 24
"""Grey level of what no tile covers."""
_REFUSED: Final = ("masks", "frames")
"""Sinks that need the segmentation of one frame, or have no end."""


class Tile(Sink):
    """The place of one pipeline in a mosaic: keeps its newest frame, scaled. Threading: as any sink; `rgb` from any."""

    name = "mosaic"

    def __init__(self, label: str, size_wh: tuple[int, int]) -> None:
        self._label = label
        self._size_wh = size_wh
        self._lock = threading.Lock()
        self._rgb = labelled(np.full((size_wh[1], size_wh[0], 3), GROUND, np.uint8), f"{label}: no picture yet")

    @property
    def rgb(self) -> UInt8Array:
        """The newest frame with its label, rgb uint8 [h, w, 3]; not to be written on."""
        with self._lock:
            return self._rgb

    def open(self, stream: StreamFormat) -> None:
        """Do nothing: a tile waits for frames."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Take the newest frame."""
        del result
        rgb = labelled(fitted(color.to_rgb(frame.picture), self._size_wh), self._label)
        with self._lock:
            self._rgb = rgb

    def close(self) -> None:
        """Say that the source has ended; the last frame stays."""
        with self._lock:
            self._rgb = labelled(np.asarray(self._rgb // 2, np.uint8), f"{self._label}: ended")


class Mosaic:
    """The tiles of several pipelines and the sinks that show them all.

    Args:
        labels: one a pipeline, without credentials.
        sinks: where the mosaic goes to.
        size_wh: of the mosaic.
        fps: pictures a second.

    Raises:
        ConfigError: a sink that cannot show a mosaic.
    """

    def __init__(
        self,
        labels: Sequence[str],
        sinks: Sequence[Sink],
        *,
        size_wh: tuple[int, int] = MOSAIC_WH,
        fps: int = MOSAIC_FPS,
    ) -> None:
        for sink in sinks:
            if sink.name in _REFUSED:
                raise ConfigError(f"mosaic: got the output {sink.name}; expected a video, a window or a stream.")
        self.size_wh, self.fps = size_wh, fps
        self.stats = Stats(source_id="mosaic")
        self._delivery = Delivery(sinks, self.stats, None)
        columns = math.ceil(math.sqrt(len(labels)))
        rows = math.ceil(len(labels) / columns)
        self._tile_wh = (even(size_wh[0] / columns), even(size_wh[1] / rows))
        self._columns = columns
        self.tiles = [Tile(label, self._tile_wh) for label in labels]

    def picture(self) -> UInt8Array:
        """Return all tiles as they are now, rgb uint8 [H, W, 3]."""
        width, height = self._tile_wh
        picture = np.full((self.size_wh[1], self.size_wh[0], 3), GROUND, np.uint8)
        for index, tile in enumerate(self.tiles):
            y, x = height * (index // self._columns), width * (index % self._columns)
            picture[y : y + height, x : x + width] = tile.rgb
        return picture

    def run(self, segmenter: Segmenter, is_running: Callable[[], bool]) -> Stats:
        """Write a picture at every tick for as long as `is_running` says so, or until a sink asks for a stop.

        Raises:
            SinkError: a sink failed.
        """
        place = Place("open")
        try:
            self._delivery.open(self._format(segmenter), place)
            started = time.monotonic()
            while is_running() and not self._delivery.wants_stop:
                tick = int((time.monotonic() - started) * self.fps)
                self._delivery.write(self._frame(tick), None, place)
                self.stats.frames.written += 1
                time.sleep(max(0.0, started + (tick + 1) / self.fps - time.monotonic()))
            self._delivery.close(place)
        except BaseException:
            self._delivery.abort()
            raise
        finally:
            self._delivery.note()
        return self.stats

    def _frame(self, tick: int) -> Frame:
        rgb = self.picture()
        rgb.flags.writeable = False
        return Frame(rgb, tick, tick, Fraction(1, self.fps), time.monotonic_ns(), "mosaic", 1)

    def _format(self, segmenter: Segmenter) -> StreamFormat:
        return StreamFormat(
            source_id="mosaic",
            size_wh=self.size_wh,
            time_base=Fraction(1, self.fps),
            frame_rate=Fraction(self.fps),
            classes=segmenter.classes,
            palette=segmenter.palette,
            matrix="bt709" if self.size_wh[1] >= 720 else "bt601",
        )


def fitted(rgb: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    """Return a picture fitted into another size without distortion, centred on grey, uint8 [h, w, 3]."""
    scale = min(size_wh[0] / rgb.shape[1], size_wh[1] / rgb.shape[0])
    width, height = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((size_wh[1], size_wh[0], 3), GROUND, np.uint8)
    x, y = (size_wh[0] - width) // 2, (size_wh[1] - height) // 2
    canvas[y : y + height, x : x + width] = small
    return canvas


def labelled(rgb: UInt8Array, words: str) -> UInt8Array:
    """Return a picture with a label at its lower left, where there is room for one."""
    size_px = max(8.0, min(13.0, rgb.shape[0] / 26))
    panel = Panel(even(text_width_px(words, size_px) + 2 * size_px), even(2.4 * size_px))
    height, width = panel.alpha.shape
    if width > rgb.shape[1] or height > rgb.shape[0]:
        return rgb
    panel.text(words, round(size_px), height // 2, size_px)
    part = rgb[-height:, :width]
    share = panel.alpha[..., None].astype(np.float32) / 255
    part[:] = np.rint(part + (panel.rgb - part.astype(np.float32)) * share)
    return rgb
