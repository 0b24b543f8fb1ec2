"""What waits for a viewer is little, whatever the viewer does, and can always be decoded."""

from __future__ import annotations

import asyncio

from rtseg.serve.mailbox import MOST_PACKETS, Mailbox, deliver
from tests.serve.parts import run


def test_a_jpeg_replaces_the_one_before():
    async def work() -> None:
        box = Mailbox()
        for value in (b"1", b"2", b"3"):
            box.put(value, keyframe=True)
        assert await box.get() == b"3"
        assert box.dropped == 2

    run(work())


def test_packets_that_pile_up_go_until_a_keyframe_that_is_asked_for():
    async def work() -> None:
        asked = []
        box = Mailbox(want_keyframe=lambda: asked.append(1))
        box.put(b"lost", keyframe=False)  # nothing can be decoded before the first keyframe
        assert asked == [1]
        box.put(b"K", keyframe=True)
        for number in range(MOST_PACKETS - 1):
            box.put(b"%d" % number, keyframe=False)
        asked.clear()
        box.put(b"too many", keyframe=False)
        box.put(b"needs the lost one", keyframe=False)
        assert len(asked) == 2
        box.put(b"K2", keyframe=True)
        box.put(b"after", keyframe=False)
        assert [await box.get(), await box.get()] == [b"K2", b"after"]
        assert box.dropped == 1 + MOST_PACKETS + 2

    run(work())


def test_a_closed_box_gives_none_and_takes_none():
    async def work() -> None:
        box = Mailbox()
        waiting = asyncio.ensure_future(box.get())
        await asyncio.sleep(0.01)
        box.close()
        assert await waiting is None
        deliver([box], b"late", keyframe=True)
        assert await box.get() is None

    run(work())
