"""The videos of a server: taken in, worked on one at a time, kept for a while, and removed."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rtseg.errors import ConfigError, RtsegError
from rtseg.redaction import redact
from rtseg.serve.backgrounds import shown_name
from rtseg.serve.probing import Probe, probe
from rtseg.serve.refusals import NotThere, TooMany
from rtseg.serve.render_job import Cancelled, RenderJob
from rtseg.serve.settings import Settings, changed

if TYPE_CHECKING:
    from rtseg.serve.room import Room

SWEEP_SECONDS: Final = 10.0
"""How often what has expired is looked for."""
ROOM_LEFT_BYTES: Final = 500_000_000
"""Space on the disk that is left alone."""
RESULTS: Final = {
    "result.mp4": "video/mp4",
    "masks.zip": "application/zip",
    "shares.csv": "text/csv; charset=utf-8",
    "shares.parquet": "application/vnd.apache.parquet",
}
"""What can be had of a video that is done, and its media type."""


class VideoJob:
    """One upload and what is made of it. Threading: the event loop's thread."""

    def __init__(self, number: str, name: str, folder: Path, settings: Settings) -> None:
        self.number = number
        self.name = name
        self.folder = folder
        self.settings = settings
        self.state = "queued"
        self.error = ""
        self.facts: Probe | None = None
        self.work: RenderJob | None = None
        self.touched_at = time.monotonic()
        self.cancelled = False
        self._rendered = 0

    @property
    def upload(self) -> Path:
        """The file as it came."""
        return self.folder / "upload"

    def next_folder(self) -> Path:
        """Return a new place for what is made; what was made before is removed."""
        if self.work is not None:
            shutil.rmtree(self.work.folder, ignore_errors=True)
        self._rendered += 1
        return self.folder / f"render-{self._rendered}"

    def result(self, name: str) -> Path:
        """Return a file of what was made. Raises NotThere unless it is done."""
        self.touched_at = time.monotonic()
        if self.state != "done" or self.work is None:
            raise NotThere(f"video: got {name} of one that is {self.state}; expected one that is done. Wait for it.")
        return self.work.folder / name

    def source(self) -> tuple[Path, str]:
        """Return the file that a browser plays before the result, and its media type. Raises NotThere without one."""
        self.touched_at = time.monotonic()
        if self.facts is not None and self.facts.plays_as_it_is:
            return self.upload, "video/mp4" if self.facts.format.startswith("mov") else "video/webm"
        copy = self.folder / "source.mp4"
        if not copy.exists():
            raise NotThere("video: got no copy for browsers yet; expected one when it is done. Wait for it.")
        return copy, "video/mp4"

    def to_json(self) -> dict[str, Any]:
        """Return what a page shows."""
        self.touched_at = time.monotonic()
        work, done = self.work, self.state == "done"
        return {
            "job": self.number,
            "name": self.name,
            "state": self.state,
            "frames_done": 0 if work is None else work.frames_done,
            "frames_expected": None if work is None else work.frames_expected,
            "fps": None if work is None or work.fps is None else round(work.fps, 1),
            "error": self.error or None,
            "notes": [] if work is None else work.notes,
            "duration_seconds": None if self.facts is None else self.facts.duration_seconds,
            "size_wh": None if self.facts is None else list(self.facts.size_wh),
            "classes": [] if work is None else list(work.segmenter.classes),
            "has": {"source.mp4": self._has_source(), **dict.fromkeys([*RESULTS, "shares.json"], done)},
            "settings": self.settings.to_json(),
        }

    def _has_source(self) -> bool:
        plays = self.facts is not None and self.facts.plays_as_it_is
        return plays or (self.folder / "source.mp4").exists()


class Jobs:
    """All videos. Threading: the event loop's thread."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._limits = room.options.limits
        self._known: dict[str, VideoJob] = {}
        self._queue: asyncio.Queue[VideoJob] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._arriving = 0

    def open(self) -> None:
        """Begin to work and to sweep."""
        self._tasks = [asyncio.ensure_future(self._work()), asyncio.ensure_future(self._sweep())]

    # ---- taking in --------------------------------------------------------------------------------------------

    async def take(self, body: AsyncIterator[bytes], name: str, patch: object, stated_bytes: int) -> VideoJob:
        """Write an upload to disk as it comes, look at it, and queue it.

        Args:
            body: the pieces of the file.
            name: what its owner calls it; shown, never a path.
            patch: settings that differ from the first ones.
            stated_bytes: how long it says it is; 0: it does not say.

        Raises:
            TooMany: there are enough of them, or the disk is full.
            ConfigError: it is no video, or is beyond the limits.
        """
        settings = self._room.fitting(patch)
        self._room.check_drawing(settings)
        self._make_room(stated_bytes)
        number = secrets.token_urlsafe(9)
        job = VideoJob(number, shown_name(name, "video"), self._room.folder / f"video-{number}", settings)
        job.folder.mkdir(mode=0o700)
        self._arriving += 1
        try:
            await self._write(job.upload, body)
            job.facts = await self._room.off_loop(lambda: probe(job.upload, self._limits))
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        finally:
            self._arriving -= 1
        self._known[number] = job
        self._queue.put_nowait(job)
        return job

    async def _write(self, path: Path, body: AsyncIterator[bytes]) -> None:
        most = self._limits.upload_mb * 1_000_000
        written = 0
        file = await self._room.off_loop(lambda: path.open("wb"))
        try:
            async for piece in body:
                written += len(piece)
                if written > most:
                    raise ConfigError(f"video: got more than {self._limits.upload_mb} MB; expected at most that.")
                await self._room.off_loop(lambda piece=piece: file.write(piece))  # type: ignore[misc]
        except OSError as error:
            raise TooMany(f"video: got {error.strerror} while it was written; expected room on the disk.") from error
        finally:
            file.close()
        if not written:
            raise ConfigError("video: got an empty body; expected a file. Choose one.")

    def _make_room(self, stated_bytes: int) -> None:
        """Remove the oldest that is done where there are as many as there may be."""
        if len(self._known) + self._arriving >= self._limits.jobs:
            ended = [job for job in self._known.values() if job.state not in ("queued", "running")]
            if not ended:
                raise TooMany(f"video: got one more than {self._limits.jobs}; expected at most that. Wait a while.")
            self._forget(min(ended, key=lambda job: job.touched_at))
        stats = os.statvfs(self._room.folder) if hasattr(os, "statvfs") else None
        if stats is not None and stats.f_bavail * stats.f_frsize < stated_bytes + ROOM_LEFT_BYTES:
            raise TooMany("video: got a disk that is almost full; expected room for it. Free some.")

    # ---- working ----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            if job.state == "queued" and job.number in self._known:
                await self._do(job)

    async def _do(self, job: VideoJob) -> None:
        job.state = "running"
        try:
            segmenter, effects = await self._room.drawing(job.settings)
            plays = job.facts is not None and job.facts.plays_as_it_is
            folder = job.next_folder()
            job.work = RenderJob(
                job.upload, folder, segmenter, effects, self._limits.video_seconds, needs_copy=not plays
            )
            if job.cancelled:
                job.work.cancel()
            await self._room.off_loop(job.work.run)
        except Cancelled:
            job.state = "cancelled"
        except (RtsegError, OSError) as error:
            job.state, job.error = "failed", redact(str(error)).replace(str(job.folder), "")
        else:
            job.state = "done"
        job.touched_at = time.monotonic()
        if job.number not in self._known:
            shutil.rmtree(job.folder, ignore_errors=True)

    def render(self, number: str, patch: object) -> VideoJob:
        """Make something else of an upload that is there.

        Raises:
            NotThere: there is none of that number.
            ConfigError: the settings cannot be right, or it is still being worked on.
        """
        job = self.get(number)
        if job.state in ("queued", "running"):
            raise ConfigError(f"video: got it {job.state}; expected one that is done. Wait for it or cancel it.")
        settings = changed(job.settings, patch)
        self._room.check_drawing(settings)
        job.settings, job.state, job.error, job.cancelled = settings, "queued", "", False
        self._queue.put_nowait(job)
        return job

    # ---- keeping and removing ---------------------------------------------------------------------------------

    def get(self, number: str) -> VideoJob:
        """Return a video by its number. Raises NotThere where there is none."""
        if number not in self._known:
            raise NotThere(f"video: got {number[:40]!r}; expected one that was uploaded. It may have expired.")
        return self._known[number]

    def remove(self, number: str) -> VideoJob:
        """Cancel one that is worked on, remove one that is not. Raises NotThere where there is none."""
        job = self.get(number)
        if job.state == "running":
            job.cancelled = True
            if job.work is not None:
                job.work.cancel()
        elif job.state == "queued":
            job.state = "cancelled"
        else:
            self._forget(job)
        return job

    def to_json(self) -> list[dict[str, Any]]:
        """Return all of them."""
        touched = {number: job.touched_at for number, job in self._known.items()}
        shown = [job.to_json() for job in self._known.values()]
        for number, moment in touched.items():  # looking at the list keeps nothing alive
            self._known[number].touched_at = moment
        return shown

    def states(self) -> dict[str, int]:
        """Return how many there are in each state."""
        counts: dict[str, int] = {}
        for job in self._known.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        return counts

    def sweep(self, now: float) -> None:
        """Remove what nobody has asked for in a long time."""
        for job in list(self._known.values()):
            if job.state not in ("queued", "running") and now - job.touched_at > self._limits.job_seconds:
                self._forget(job)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(time.monotonic())

    def _forget(self, job: VideoJob) -> None:
        self._known.pop(job.number, None)
        if job.state != "running":
            shutil.rmtree(job.folder, ignore_errors=True)

    def cancel_all(self) -> None:
        """Tell everything that is worked on to end soon."""
        for job in self._known.values():
            job.cancelled = True
            if job.work is not None:
                job.work.cancel()

    async def close(self) -> None:
        """End everything."""
        self.cancel_all()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
