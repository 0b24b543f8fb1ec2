"""Settings that are changed while a pipeline is made ready are what it draws."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiortc", reason="needs the extra `serve`")

from rtseg.serve.changeable import Changeable
from rtseg.serve.settings import Settings


class Room:
    """Loads nothing, but takes its time."""

    async def drawing(self, settings):
        await asyncio.sleep(0)
        return "segmenter", settings


class Runner:
    def __init__(self):
        self.drawn = None

    def switch(self, _segmenter, effects):
        self.drawn = effects


async def begun(drawn, runner, *, change_at):
    """Make a runner ready as camera and streams do, with a change before, meanwhile or after."""
    made_with = drawn.settings
    changing = asyncio.ensure_future(drawn.change({"strength": 0.9})) if change_at == "meanwhile" else None
    await drawn._room.drawing(made_with)
    await asyncio.sleep(0)
    await drawn._take(runner, made_with)
    await (changing or drawn.change({"strength": 0.9}))


@pytest.mark.parametrize("change_at", ["meanwhile", "after"])
def test_a_change_is_drawn_whenever_it_comes(change_at):
    async def check():
        drawn, runner = Changeable(Room(), Settings("person")), Runner()
        await begun(drawn, runner, change_at=change_at)
        assert drawn.settings.strength == 0.9
        assert runner.drawn == drawn.settings

    asyncio.run(check())
