"""Everything that a server holds: models, backgrounds, cameras, streams and videos; made and ended in one place."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from rtseg.errors import RtsegError
from rtseg.render.effects import Effect
from rtseg.segmenter import Segmenter
from rtseg.serve import rtc
from rtseg.serve.backgrounds import Backgrounds
from rtseg.serve.camera import CameraSession
from rtseg.serve.jobs import Jobs
from rtseg.serve.mjpeg import MjpegResponse
from rtseg.serve.options import ServeOptions
from rtseg.serve.refusals import NotThere, TooMany
from rtseg.serve.settings import Settings, changed, default_settings, effects_of
from rtseg.serve.shelf import ModelShelf
from rtseg.serve.streams import Stream, StreamViewer, named_streams, source_maker
from rtseg.serve.tally import Tally
from rtseg.stats import machine_facts, package_version

Result = TypeVar("Result")

WORK_THREADS: Final = 4
"""Threads for what would hold up the event loop: loading models, decoding pictures, reading files."""
END_SECONDS: Final = 1.5
"""How long the end of everything may take."""


class Room:
    """What all requests share. Threading: the event loop's thread, apart from what is handed to `off_loop`."""

    def __init__(self, options: ServeOptions) -> None:
        """Read the cards of the models, look at the streams and make a folder; inside the running event loop.

        Raises:
            RtsegError: a model or a stream is not there, or the effect does not suit the model.
        """
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.ending = asyncio.Event()
        self.started_at = time.monotonic()
        self.shelf = ModelShelf(options.model, backend=options.backend, precision=options.precision)
        self.first_settings = default_settings(self.shelf.preferred, options.effect)
        makers = {
            name: source_maker(spec, options.source_options) for name, spec in named_streams(options.streams).items()
        }
        self.folder = Path(tempfile.mkdtemp(prefix="rtseg-serve-"))  # 0700, as mkdtemp makes it
        self.backgrounds = Backgrounds(self.folder, options.limits.backgrounds)
        self.cameras: dict[str, CameraSession] = {}
        self.past_cameras = Tally()
        self.streams = {name: Stream(self, name, *maker) for name, maker in makers.items()}
        self.viewers: dict[str, StreamViewer] = {}
        self.mjpeg: set[MjpegResponse] = set()
        self.jobs = Jobs(self)
        self._executor = ThreadPoolExecutor(WORK_THREADS, thread_name_prefix="rtseg-serve")
        self._loading: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin what goes on by itself."""
        self.jobs.open()
        self._loading = asyncio.ensure_future(self._load_first())

    async def _load_first(self) -> None:
        """Load the model before anybody asks, so that the first picture comes at once."""
        with suppress(RtsegError):  # whoever needs it is told
            await self.drawing(self.first_settings)

    # ---- for everything in the room ---------------------------------------------------------------------------

    async def off_loop(self, work: Callable[[], Result]) -> Result:
        """Do in a thread what would hold up the event loop, and return what it returns."""
        return await self.loop.run_in_executor(self._executor, work)

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have something done in the event loop; may be called from any thread, and does nothing after the end."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(work)

    def check_drawing(self, settings: Settings) -> tuple[Effect, ...]:
        """Return the effects of settings. Raises ConfigError where they do not suit the model."""
        return effects_of(settings, self.shelf.bundle(settings.model), self.backgrounds.path_of)

    async def drawing(self, settings: Settings) -> tuple[Segmenter, tuple[Effect, ...]]:
        """Return the model and the effects of settings, loaded where they were not.

        Raises:
            RtsegError: the effect does not suit the model, or the model cannot be loaded.
        """
        effects = self.check_drawing(settings)
        segmenter = await self.off_loop(lambda: self.shelf.segmenter(settings.model, smoothing=settings.smoothing))
        return segmenter, effects

    def own_offer(self, sdp: str) -> str:
        """Return an offer without the addresses that this server does not send to."""
        return rtc.own_candidates_only(sdp) if self.options.is_loopback else rtc.literal_candidates_only(sdp)

    def fitting(self, patch: object) -> Settings:
        """Return the first settings with a patch; another model brings its own effect.

        Raises:
            ConfigError: the patch cannot be right.
        """
        first = self.first_settings
        if isinstance(patch, dict) and isinstance(patch.get("model"), str) and patch["model"] != first.model:
            first = default_settings(self.shelf.bundle(patch["model"]))
        return changed(first, patch)

    # ---- cameras ----------------------------------------------------------------------------------------------

    async def open_camera(self, body: object) -> dict[str, Any]:
        """Begin a camera session with a browser's offer and return the answer.

        Raises:
            TooMany: there are enough of them.
            RtsegError: offer or settings cannot be right, or the model cannot be loaded.
        """
        sdp = rtc.checked_offer(body)
        given = body if isinstance(body, dict) else {}
        settings = self.fitting(given.get("settings") or {})
        if len(self.cameras) >= self.options.limits.cameras:
            raise TooMany(f"camera: got one more than {len(self.cameras)}; expected at most that. Close another page.")
        session = CameraSession(self, settings, strip=given.get("strip") is True, on_end=self._forget_camera)
        self.cameras[session.name] = session
        answer = await session.open(sdp)
        return {"session": session.name, "sdp": answer, "type": "answer", "settings": settings.to_json()}

    def camera(self, name: str) -> CameraSession:
        """Return a camera session by its name. Raises NotThere where there is none."""
        if name not in self.cameras:
            raise NotThere(f"camera session: got {name[:40]!r}; expected one that runs. Start the camera again.")
        return self.cameras[name]

    def _forget_camera(self, session: CameraSession) -> None:
        if self.cameras.pop(session.name, None) is not None and session.runner is not None:
            self.past_cameras.add(session.runner)

    # ---- streams ----------------------------------------------------------------------------------------------

    def stream(self, name: str) -> Stream:
        """Return a stream by its name. Raises NotThere where there is none."""
        if name not in self.streams:
            raise NotThere(f"stream: got {name[:40]!r}; expected one of {', '.join(self.streams) or 'none'}.")
        return self.streams[name]

    async def open_viewer(self, name: str, body: object) -> dict[str, Any]:
        """Show a stream to a browser that has made an offer, and return the answer.

        Raises:
            NotThere: there is no such stream.
            TooMany: enough watch.
            RtsegError: the offer cannot be right.
        """
        stream = self.stream(name)
        sdp = rtc.checked_offer(body)
        self._check_viewers()
        viewer = StreamViewer(self, stream, self._forget_viewer)
        self.viewers[viewer.name] = viewer
        answer = await viewer.open(sdp)
        return {"viewer": viewer.name, "sdp": answer, "type": "answer"}

    def viewer(self, name: str) -> StreamViewer:
        """Return a viewer by its name. Raises NotThere where there is none."""
        if name not in self.viewers:
            raise NotThere(f"viewer: got {name[:40]!r}; expected one that watches.")
        return self.viewers[name]

    def open_mjpeg(self, name: str) -> MjpegResponse:
        """Return a stream as JPEG pictures. Raises NotThere without such a stream, TooMany where enough watch."""
        stream = self.stream(name)
        self._check_viewers()
        response = MjpegResponse(stream, self.mjpeg.discard)
        self.mjpeg.add(response)
        return response

    def _check_viewers(self) -> None:
        watching = len(self.viewers) + len(self.mjpeg)
        if watching >= self.options.limits.viewers:
            raise TooMany(f"viewers: got one more than {watching}; expected at most that. Try again later.")

    def _forget_viewer(self, viewer: StreamViewer) -> None:
        self.viewers.pop(viewer.name, None)

    # ---- what a page shows ------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Return what a page needs to know before anything runs."""
        limits, machine = self.options.limits, machine_facts()
        return {
            "version": package_version("rtseg") or "",
            "machine": {name: machine[name] for name in ("cpu", "cores", "system")},
            "models": self.shelf.to_json(),
            "effects": {"blur": {"strength": [0, 1]}, "replace": {"background": None, "color": None}},
            "streams": [stream.to_json() for stream in self.streams.values()],
            "limits": {
                "upload_mb": limits.upload_mb,
                "video_seconds": limits.video_seconds,
                "cameras": limits.cameras,
                "viewers": limits.viewers,
                "jobs": limits.jobs,
            },
            "backgrounds": self.backgrounds.to_json(),
            "settings": self.first_settings.to_json(),
        }

    def stats(self) -> dict[str, Any]:
        """Return what is measured of everything that runs."""
        return {
            "uptime_seconds": round(time.monotonic() - self.started_at, 1),
            "cameras": {name: camera.to_json() for name, camera in self.cameras.items()},
            "streams": {name: stream.to_json() for name, stream in self.streams.items()},
            "viewers": {name: viewer.to_json() for name, viewer in self.viewers.items()},
            "mjpeg_viewers": len(self.mjpeg),
            "jobs": self.jobs.states(),
            "threads": threading.active_count(),
            "tasks": len(asyncio.all_tasks()),
        }

    # ---- the end ----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End everything that runs and remove the folder; takes END_SECONDS at most, and a moment more for threads."""
        self.ending.set()
        closings = [camera.close() for camera in self.cameras.values()]
        closings += [viewer.close() for viewer in self.viewers.values()]
        closings += [stream.close() for stream in self.streams.values()]
        endings = [asyncio.ensure_future(closing) for closing in (*closings, self.jobs.close())]
        await asyncio.wait(endings, timeout=END_SECONDS)
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._loading is None or self._loading.done():
            self.shelf.close()
        else:  # a model that is being loaded cannot be told to stop; the process ends without it
            self._loading.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)
