"""What a pipeline of the page draws, and how that is changed while it runs or is made ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rtseg.serve.runner import Runner
from rtseg.serve.settings import Settings, changed

if TYPE_CHECKING:
    from rtseg.serve.room import Room


class Changeable:
    """Settings with the runner that draws by them. Threading: the event loop's thread."""

    def __init__(self, room: Room, settings: Settings) -> None:
        """Take the room with models and backgrounds, and the first settings."""
        self.settings = settings
        self._room = room
        self._changing = asyncio.Lock()
        self._runner: Runner | None = None

    async def change(self, patch: object) -> Settings:
        """Draw something else from the next frame on, for everybody who sees it, and return all settings.

        Raises:
            RtsegError: the settings cannot be right, or the model cannot be loaded; nothing has changed then.
        """
        async with self._changing:  # loading a model takes a while: the next change builds on this one
            settings = changed(self.settings, patch)
            segmenter, effects = await self._room.drawing(settings)
            self.settings = settings
            if self._runner is not None:
                self._runner.switch(segmenter, effects)
        return settings

    async def _take(self, runner: Runner, made_with: Settings) -> None:
        """Run by this runner from now on, with what was changed while it was made. Raises RtsegError."""
        while self.settings is not made_with:
            made_with = self.settings
            runner.switch(*await self._room.drawing(made_with))
        self._runner = runner
