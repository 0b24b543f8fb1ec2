"""Everything that a server holds: models, backgrounds, cameras, streams and videos; made and ended in one place."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from rtseg.errors import ConfigError
from rtseg.render.effects import Effect
from rtseg.segmenter import Segmenter
from rtseg.serve import rtc
from rtseg.serve.backgrounds import Backgrounds
from rtseg.serve.camera import CameraSession
from rtseg.serve.options import ServeOptions
from rtseg.serve.settings import Settings, changed, default_settings, effects_of
from rtseg.serve.shelf import ModelShelf
from rtseg.stats import machine_facts, package_version

Result = TypeVar("Result")

WORK_THREADS: Final = 4
"""Threads for what would hold up the event loop: loading models, decoding pictures, reading files."""
END_SECONDS: Final = 1.5
"""How long the end of everything may take."""


class TooMany(ConfigError):
    """There are as many of something as the limits allow."""


class NotThere(ConfigError):
    """There is nothing of that name."""


class Room:
    """What all requests share. Threading: the event loop's thread, apart from what is handed to `off_loop`."""

    def __init__(self, options: ServeOptions) -> None:
        """Read the cards of the models and make a folder; `open` has to follow in the event loop.

        Raises:
            RtsegError: the model is not there, or the effect does not suit it.
        """
        self.options = options
        self.shelf = ModelShelf(options.model, backend=options.backend, precision=options.precision)
        self.first_settings = default_settings(self.shelf.preferred, options.effect)
        self.folder = Path(tempfile.mkdtemp(prefix="rtseg-serve-"))  # 0700, as mkdtemp makes it
        self.backgrounds = Backgrounds(self.folder, options.limits.backgrounds)
        self.cameras: dict[str, CameraSession] = {}
        self.started_at = time.monotonic()
        self.ending = asyncio.Event()
        self._executor = ThreadPoolExecutor(WORK_THREADS, thread_name_prefix="rtseg-serve")
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Belong to the running event loop from now on."""
        self._loop = asyncio.get_running_loop()

    # ---- for everything in the room ---------------------------------------------------------------------------

    async def off_loop(self, work: Callable[[], Result]) -> Result:
        """Do in a thread what would hold up the event loop, and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have something done in the event loop; may be called from any thread, and does nothing after the end."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    async def drawing(self, settings: Settings) -> tuple[Segmenter, tuple[Effect, ...]]:
        """Return the model and the effects of settings, loaded where they were not.

        Raises:
            RtsegError: the effect does not suit the model, or the model cannot be loaded.
        """
        effects = effects_of(settings, self.shelf.bundle(settings.model), self.backgrounds.path_of)
        segmenter = await self.off_loop(lambda: self.shelf.segmenter(settings.model, smoothing=settings.smoothing))
        return segmenter, effects

    def own_offer(self, sdp: str) -> str:
        """Return an offer without the addresses that this server does not send to."""
        return rtc.own_candidates_only(sdp) if self.options.is_loopback else rtc.literal_candidates_only(sdp)

    def fitting(self, patch: object) -> Settings:
        """Return the first settings with a patch; a model that was named alone brings its own effect.

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
        sdp, _ = rtc.checked_offer(body)
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
        self.cameras.pop(session.name, None)

    # ---- what a page shows ------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Return what a page needs to know before anything runs."""
        limits = self.options.limits
        machine = machine_facts()
        return {
            "version": package_version("rtseg") or "",
            "machine": {name: machine[name] for name in ("cpu", "cores", "system")},
            "models": self.shelf.to_json(),
            "effects": {"blur": {"strength": [0, 1]}, "replace": {"background": None, "color": None}},
            "streams": [],
            "limits": {"upload_mb": limits.upload_mb, "viewers": limits.viewers, "jobs": limits.jobs},
            "backgrounds": self.backgrounds.to_json(),
            "settings": self.first_settings.to_json(),
        }

    # ---- the end ----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End everything that runs and remove the folder; takes END_SECONDS at most, and a moment more for threads."""
        self.ending.set()
        endings = [asyncio.ensure_future(session.close()) for session in list(self.cameras.values())]
        if endings:
            await asyncio.wait(endings, timeout=END_SECONDS)
        self._executor.shutdown(wait=True, cancel_futures=True)
        self.shelf.close()
        shutil.rmtree(self.folder, ignore_errors=True)
