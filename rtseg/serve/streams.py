"""The streams that were given on the command line: one pipeline each while somebody watches, shared by all who do."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rtseg.errors import RtsegError
from rtseg.redaction import redact, safe_name
from rtseg.serve import rtc
from rtseg.serve.changeable import Changeable
from rtseg.serve.live_sink import LiveSink
from rtseg.serve.looped import LoopedSource
from rtseg.serve.mailbox import Mailbox
from rtseg.serve.runner import Runner
from rtseg.serve.tally import Tally
from rtseg.sources import open_source
from rtseg.sources.base import Source

if TYPE_CHECKING:
    from rtseg.serve.room import Room

LINGER_SECONDS: Final = 2.0
"""How long a pipeline goes on after its last viewer has left, as a page that is loaded again comes right back."""
RETRY_SECONDS: Final = 3.0
"""When a stream that has failed is tried again, while somebody watches."""
_NAMED: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,40})=(?P<spec>.+)", re.DOTALL)


class Stream(Changeable):
    """One source and who watches it. Threading: the event loop's thread."""

    def __init__(self, room: Room, name: str, make_source: Callable[[], Source], detail: str) -> None:
        """Take the room, the name in addresses, what opens the source, and what is shown of it."""
        super().__init__(room, room.first_settings)
        self.name = name
        self.tally = Tally()
        self._make_source = make_source
        self._detail = detail
        self._sink = LiveSink(room.loop)
        self._boxes: dict[Mailbox, str] = {}
        self._error = ""
        self._working: asyncio.Task[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    # ---- who watches ------------------------------------------------------------------------------------------

    def join(self, codec: str, box: Mailbox) -> None:
        """Hand pictures to a mailbox; the first one starts the pipeline."""
        self._boxes[box] = codec
        self._sink.add(codec, box)
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())

    def leave(self, box: Mailbox) -> None:
        """Hand it no more; the last one ends the pipeline. Idempotent."""
        codec = self._boxes.pop(box, None)
        if codec is None:
            return
        self._sink.remove(codec, box)
        if not self._boxes and self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._rest)

    def want_keyframe(self, codec: str) -> None:
        """Make the next picture one that needs no other."""
        self._sink.want_keyframe(codec)

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._boxes)

    # ---- what runs --------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Run the pipeline, again and again, while somebody watches."""
        while self._boxes and not self._room.ending.is_set():
            ended = asyncio.Event()
            try:
                settings = self.settings
                segmenter, effects = await self._room.drawing(settings)
                source = await self._room.off_loop(self._make_source)
                said = partial(self._room.call_soon, ended.set)
                runner = Runner(source, segmenter, effects, self._take_sink, name="stream", on_end=said)
                if not self._boxes:
                    return
                await self._take(runner, settings)
            except RtsegError as error:
                self._error = redact(str(error))
                await self._pause()
                continue
            runner.start()
            await ended.wait()
            await self._room.off_loop(runner.join)
            self._runner, self._error = None, runner.error or ""
            self.tally.add(runner)
            if self._error:
                await self._pause()

    def _take_sink(self, has_command: Callable[[], bool]) -> LiveSink:
        self._sink.has_command = has_command
        return self._sink

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._room.ending.wait(), RETRY_SECONDS)

    def _rest(self) -> None:
        """End the pipeline if still nobody watches."""
        self._lingering = None
        if not self._boxes and self._runner is not None:
            self._runner.stop()

    async def close(self) -> None:
        """End everything and wait for it; idempotent."""
        if self._lingering is not None:
            self._lingering.cancel()
        for box in list(self._boxes):
            box.close()
            self.leave(box)
        if self._lingering is not None:
            self._lingering.cancel()
        if self._runner is not None:
            self._runner.stop()
        if self._working is not None:
            await asyncio.wait([self._working])

    # ---- what is shown ----------------------------------------------------------------------------------------

    @property
    def runner(self) -> Runner | None:
        """What runs; None while nobody watches."""
        return self._runner

    @property
    def sink(self) -> LiveSink:
        """What codes the pictures of all runs."""
        return self._sink

    @property
    def state(self) -> str:
        """What it is doing, in one word."""
        if self._runner is not None:
            return self._runner.state
        return "failed" if self._error else "connecting" if self._boxes else "idle"

    def to_json(self) -> dict[str, Any]:
        """Return what a page shows of the stream."""
        runner = self._runner
        trouble = self._error or ("" if runner is None else runner.detail)
        return {
            "name": self.name,
            "state": self.state,
            "detail": trouble or self._detail,
            "fps": round(self._sink.ages.fps, 2),
            "frame_age_ms": self._sink.ages.to_json(),
            "infer_ms": None if runner is None else runner.to_json()["infer_ms"],
            "size_wh": list(self._sink.size_wh),
            "frames": self._sink.ages.count,
            "dropped": dict(self.tally.with_run(runner).dropped),
            "reconnects": self.tally.with_run(runner).reconnects,
            "viewers": self.viewers,
            "settings": self.settings.to_json(),
        }


class StreamViewer:
    """One browser that watches a stream by WebRTC. Threading: the event loop's thread."""

    def __init__(self, room: Room, stream: Stream, on_end: Callable[[StreamViewer], None]) -> None:
        self.name = secrets.token_urlsafe(9)
        self.stream = stream
        self._room = room
        self._on_end = on_end
        self._codec = ""
        self._box = Mailbox(want_keyframe=self._want_keyframe)
        self._connection = rtc.new_connection()
        self._lifeline: rtc.Lifeline | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self, sdp: str) -> str:
        """Take the browser's offer and return the SDP of the answer.

        Raises:
            RtsegError: the offer cannot be right; it is closed then.
        """
        try:
            rtc.add_coded_track(self._connection, self._box, want_keyframe=self._want_keyframe, takes_video=False)
            await rtc.accept(self._connection, self._room.own_offer(sdp))
            self._codec = rtc.codec_of(self._connection)
            answer = await rtc.answer(self._connection)
        except BaseException:
            await self.close()
            raise
        self._lifeline = rtc.Lifeline(self._connection, self._end)
        self.stream.join(self._codec, self._box)
        return str(answer.sdp)

    def to_json(self) -> dict[str, Any]:
        """Return what the viewer got and did not get."""
        return {"stream": self.stream.name, "taken": self._box.taken, "dropped": self._box.dropped}

    def _want_keyframe(self) -> None:
        self.stream.want_keyframe(self._codec)

    def _end(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())

    async def close(self) -> None:
        """End the connection and wait for it; idempotent."""
        self._end()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._lifeline is not None:
            self._lifeline.cut()
        self._box.close()
        self.stream.leave(self._box)
        await rtc.close_quietly(self._connection)
        self._on_end(self)


def named_streams(specs: tuple[str, ...]) -> dict[str, str]:
    """Return what to open by the name in addresses: the one written before `=`, else one made of the rest."""
    found: dict[str, str] = {}
    for spec in specs:
        name, target = _split(spec)
        unique = next(candidate for candidate in _candidates(name) if candidate not in found)
        found[unique] = target
    return found


def _candidates(name: str) -> Any:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _split(spec: str) -> tuple[str, str]:
    named = _NAMED.fullmatch(spec)
    if named and not Path(spec).exists() and "://" not in named["name"]:
        return named["name"], named["spec"]
    if spec.isdecimal():
        return f"camera{spec}", spec
    rest = spec.partition("://")[2] or spec.partition(":")[2] or spec
    shown = Path(spec).stem if Path(spec).exists() else safe_name(redact(spec) if "://" in spec else rest)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", shown.removeprefix(spec.partition("://")[0])).strip("-")
    return plain[:40] or "stream", spec


def source_maker(spec: str, options: Mapping[str, str]) -> tuple[Callable[[], Source], str]:
    """Return what opens a stream, and one line about it without secrets.

    A file or a folder of pictures is played in a loop, a scene without end, both at their own speed.

    Raises:
        RtsegError: nothing is there, or an option cannot be right.
    """
    if spec.startswith("synthetic:"):
        if "seconds=" in spec or "frames=" in spec:
            return (lambda: LoopedSource(lambda: open_source(spec, **options))), redact(spec)
        endless = {**options, "live": "yes", "frame_count": "0"}
        open_source(spec, **endless)
        return (lambda: open_source(spec, **endless)), redact(spec)
    kind = open_source(spec, **options)
    if Path(spec).exists() and not spec.startswith("/dev/"):
        del kind
        return (lambda: LoopedSource(lambda: open_source(spec, **options))), f"{Path(spec).name}, in a loop"
    return (lambda: open_source(spec, **options)), redact(spec)
