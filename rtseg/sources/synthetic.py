"""Built-in footage: the synthetic scenes as a source, with the truth of every frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from rtseg.errors import ConfigError, SourceError
from rtseg.sources.base import Source, SourceInfo
from rtseg.sources.options import check_rate
from rtseg.types import Frame, UInt8Array

SCENES: Final = ("street", "desk")
"""What `synthetic:NAME` can name."""

DEFAULT_SECONDS: Final = 10.0
"""Length where none is asked for, so that a run ends."""


class SyntheticSource(Source):
    """Frames of a rendered scene, rgb uint8 [H, W, 3]; the same arguments give the same pixels.

    Frame n shows the scene at `start_seconds + n / fps`; its pts is n in units of 1 / fps.
    """

    def __init__(
        self,
        scene: str = "street",
        *,
        size_wh: tuple[int, int] = (960, 540),
        fps: float | Fraction = 30,
        seed: int = 0,
        frame_count: int | None = None,
        duration_seconds: float | None = None,
        start_seconds: float = 0.0,
        live: bool = False,
        source_id: str | None = None,
    ) -> None:
        """Describe what to render.

        Args:
            scene: "street" or "desk".
            size_wh: width and height in pixels.
            fps: frames a second.
            seed: another seed is another scene.
            frame_count: how many frames; 0 is without end; None follows from `duration_seconds`.
            duration_seconds: how long; `math.inf` is without end; None is DEFAULT_SECONDS.
            start_seconds: time of the scene at frame 0.
            live: give each frame no sooner than its time, as a camera would.
            source_id: name in stats and file names; None is the name of the scene.

        Raises:
            ConfigError: an argument that cannot be right.
        """
        super().__init__()
        rate = check_rate(fps, what=f"synthetic:{scene}")
        if scene not in SCENES:
            raise ConfigError(
                f"synthetic:{scene}: got no such scene; expected {' or '.join(SCENES)}. Name one of them."
            )
        self._scene = _build(scene, size_wh=size_wh, seed=seed)
        count = _frames_of(frame_count, duration_seconds, rate)
        if not 0 <= start_seconds < 1e9:
            raise ConfigError(f"synthetic:{scene}: got start {start_seconds} s; expected 0 or more. Change it.")
        self._start_seconds = start_seconds
        self._is_open = False
        self._info = SourceInfo(
            source_id=source_id or f"synthetic_{scene}",
            kind="synthetic",
            live=live,
            size_wh=(size_wh[0], size_wh[1]),
            time_base=1 / rate,
            frame_rate=rate,
            frame_count=count,
            duration_seconds=None if count is None else float(count / rate),
            matrix="bt709" if size_wh[1] >= 720 else "bt601",
            details={"scene": scene, "seed": str(seed), "paced": "yes" if live else "no"},
        )

    @property
    def info(self) -> SourceInfo:
        """What is known of the scene. Raises SourceError before `open()`."""
        if not self._is_open:
            raise SourceError("synthetic source: got one that is not open; expected open() first. Open it.")
        return self._info

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels that `truth` gives."""
        return self._scene.classes

    def open(self) -> None:
        """Make the source ready; nothing can fail here."""
        self._is_open = True

    def close(self) -> None:
        """Do nothing; there is nothing to release."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; a live source waits for the time of each."""
        info = self.info
        started_ns = time.monotonic_ns()
        frame_index = 0
        while info.frame_count is None or frame_index < info.frame_count:
            rgb = self._scene.render(self._scene_seconds(frame_index))
            rgb.flags.writeable = False
            if info.live:
                _wait_until(started_ns + round(frame_index * info.time_base * 1_000_000_000))
            self.counters.decoded += 1
            yield Frame(
                picture=rgb,
                frame_index=frame_index,
                pts=frame_index,
                time_base=info.time_base,
                captured_ns=time.monotonic_ns(),
                source_id=info.source_id,
                duration=1,
            )
            frame_index += 1

    def truth(self, frame_index: int) -> UInt8Array:
        """Return the class index of every pixel of a frame, uint8 [H, W], into `classes`."""
        return self._scene.labels(self._scene_seconds(frame_index))

    def truth_alpha(self, frame_index: int) -> UInt8Array | None:
        """Return the soft matte of the person of a frame, 0..255, uint8 [H, W]; None for the street."""
        alpha = self._scene.alpha
        return None if alpha is None else alpha(self._scene_seconds(frame_index))

    def _scene_seconds(self, frame_index: int) -> float:
        return self._start_seconds + float(frame_index * self._info.time_base)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a source needs of a scene, each as a function of its time in seconds."""

    classes: tuple[str, ...]
    render: Callable[[float], UInt8Array]
    labels: Callable[[float], UInt8Array]
    alpha: Callable[[float], UInt8Array] | None = None


def _build(name: str, *, size_wh: tuple[int, int], seed: int) -> _Scene:
    """Return a scene; only the one that is asked for is imported."""
    if name == "street":
        from rtseg.scenes.street import StreetScene

        street = StreetScene(size_wh=size_wh, seed=seed)
        return _Scene(street.classes, street.render, lambda seconds: street.render_with_labels(seconds)[1])
    from rtseg.scenes.desk import DeskScene

    desk = DeskScene(size_wh=size_wh, seed=seed)

    def alpha(seconds: float) -> UInt8Array:
        return np.rint(desk.render_with_alpha(seconds)[1] * 255).astype(np.uint8)

    def labels(seconds: float) -> UInt8Array:
        return (alpha(seconds) > 127).astype(np.uint8)

    return _Scene(desk.classes, desk.render, labels, alpha)


def _frames_of(frame_count: int | None, duration_seconds: float | None, rate: Fraction) -> int | None:
    """Return how many frames to render; None is without end."""
    if frame_count is not None and duration_seconds is not None:
        raise ConfigError(
            f"synthetic source: got {frame_count} frames and {duration_seconds} s; expected one of the two. Drop one."
        )
    if frame_count is not None:
        if isinstance(frame_count, bool) or not isinstance(frame_count, int) or frame_count < 0:
            raise ConfigError(f"synthetic source: got {frame_count} frames; expected 0 (endless) or more. Change it.")
        return frame_count or None
    seconds = DEFAULT_SECONDS if duration_seconds is None else duration_seconds
    if not seconds > 0:
        raise ConfigError(f"synthetic source: got a length of {seconds} s; expected more than 0. Change it.")
    return None if seconds == float("inf") else max(1, round(Fraction(seconds) * rate))


def _wait_until(due_ns: int) -> None:
    remaining_seconds = (due_ns - time.monotonic_ns()) / 1e9
    if remaining_seconds > 0:
        time.sleep(remaining_seconds)
