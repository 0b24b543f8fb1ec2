"""A browser's camera: its frames come by WebRTC, go through a pipeline of their own, and come back composited."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import av
from aiortc.mediastreams import MediaStreamError

from rtseg.errors import ConfigError
from rtseg.serve import rtc
from rtseg.serve.changeable import Changeable
from rtseg.serve.live_sink import LiveSink
from rtseg.serve.mailbox import Mailbox
from rtseg.serve.push import PushSource
from rtseg.serve.runner import Runner
from rtseg.serve.settings import Settings

if TYPE_CHECKING:
    from rtseg.serve.room import Room

STATS_SECONDS: Final = 0.5
"""How often the page is told what was measured."""


class CameraSession(Changeable):
    """One browser's camera. Threading: the event loop's thread."""

    def __init__(self, room: Room, settings: Settings, *, strip: bool, on_end: Callable[[CameraSession], None]) -> None:
        """Take the room with models and backgrounds, the first settings, and what is called when it has ended."""
        super().__init__(room, settings)
        self.name = secrets.token_urlsafe(9)
        self._on_end = on_end
        self._source = PushSource("camera", keeps_strip=strip)
        self._strip = strip
        self._connection = rtc.new_connection()
        self._codec = ""
        self._box = Mailbox(want_keyframe=self._want_keyframe)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lifeline: rtc.Lifeline | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self, sdp: str) -> str:
        """Take the browser's offer and return the SDP of the answer.

        Raises:
            RtsegError: the offer or the settings cannot be right, or the model cannot be loaded; it is closed then.
        """
        try:
            return await self._open(sdp)
        except BaseException:
            await self.close()
            raise

    async def _open(self, sdp: str) -> str:
        settings = self.settings
        segmenter, effects = await self._room.drawing(settings)
        rtc.add_coded_track(self._connection, self._box, want_keyframe=self._want_keyframe, takes_video=True)
        self._connection.on("track", self._take_track)
        self._connection.on("datachannel", self._take_channel)
        await rtc.accept(self._connection, self._room.own_offer(sdp))
        if not any(receiver.track for receiver in self._connection.getReceivers()):
            raise ConfigError("offer: got no video that is sent; expected the camera's. Start the camera first.")
        self._codec = rtc.codec_of(self._connection)
        loop = asyncio.get_running_loop()
        strip_of = self._source.strip if self._strip else None
        runner = Runner(
            self._source,
            segmenter,
            effects,
            lambda has_command: LiveSink(loop, strip_of=strip_of, has_command=has_command),
            name="camera",
            on_end=lambda: self._room.call_soon(self._end),
        )
        runner.sink.add(self._codec, self._box)
        await self._take(runner, settings)
        answer = await rtc.answer(self._connection)
        self._lifeline = rtc.Lifeline(self._connection, self._end)
        runner.start()
        return str(answer.sdp)

    def to_json(self) -> dict[str, Any]:
        """Return what was measured."""
        if self._runner is None:
            return {"state": "connecting", "dropped": {}, "frames": 0}
        shown = self._runner.to_json()
        if self._box.dropped:
            shown["dropped"]["viewer"] = self._box.dropped
        return shown

    @property
    def runner(self) -> Runner | None:
        """What runs, once the offer was taken."""
        return self._runner

    def _end(self) -> None:
        """Begin to close; idempotent."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self.close())

    async def close(self) -> None:
        """End everything and wait for it; idempotent."""
        if self._closing is not None and self._closing is not asyncio.current_task():
            await self._closing
            return
        if self._closing is None:
            self._closing = asyncio.current_task()
        if self._lifeline is not None:
            self._lifeline.cut()
        self._box.close()
        self._source.finish()
        if self._runner is not None:
            self._runner.stop()
        for task in self._tasks:
            task.cancel()
        await rtc.close_quietly(self._connection)
        if self._runner is not None:
            await self._room.off_loop(self._runner.join)
        self._on_end(self)

    def _want_keyframe(self) -> None:
        if self._runner is not None:
            self._runner.sink.want_keyframe(self._codec)

    def _take_track(self, track: Any) -> None:
        if track.kind == "video":
            for receiver in self._connection.getReceivers():
                if receiver.track is track:
                    rtc.take_frames_early(receiver)
            self._spawn(self._read(track))

    def _take_channel(self, channel: Any) -> None:
        if channel.label == "stats":
            self._spawn(self._tell(channel))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, track: Any) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame):
                    self._source.put(frame)
        self._source.finish()

    async def _tell(self, channel: Any) -> None:
        while channel.readyState == "open":
            if channel.bufferedAmount < 100_000:  # who does not read is not told more
                channel.send(json.dumps(self.to_json()))
            await asyncio.sleep(STATS_SECONDS)
