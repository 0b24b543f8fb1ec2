"""rtseg itself: `rtseg.run` at its defaults; H.264 where a file is written, and the whole driving overlay drawn."""

from job import Clock, finish, job_from_arguments

import rtseg
from rtseg.sinks.base import Sink, StreamFormat
from rtseg.types import Frame, Segmentation


class Ticking(Sink):
    """Tells the clock of every frame, after the sinks before it have taken it."""

    name = "ticking"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def open(self, stream: StreamFormat) -> None:
        """Nothing to open."""

    def write(self, frame: Frame, result: Segmentation | None) -> None:
        """Count one frame."""
        self._clock.tick()

    def close(self) -> None:
        """Nothing to close."""


job = job_from_arguments()
clock = Clock()
effect = "driving" if job.kind == "street" else "blur"
sinks = [Ticking(clock)] if job.out is None else [str(job.out), Ticking(clock)]
with rtseg.load(str(job.bundle), hint="throughput") as segmenter:
    rtseg.run(
        str(job.video), model=segmenter, effect=effect, out=sinks, max_frames=job.frames, overwrite=True, policy="every"
    )
    finish(clock, runtime=f"{segmenter.info.name} {segmenter.info.version}", precision=segmenter.info.precision)
