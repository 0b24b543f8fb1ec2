"""RTMP's messages in chunks: writing ours, putting the peer's together.

Source: Adobe, Real-Time Messaging Protocol specification 1.0 (2012), section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

SET_CHUNK_SIZE, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 3, 4, 5, 6
AUDIO, VIDEO, METADATA, COMMAND = 8, 9, 18, 20
OUR_CHUNK_BYTES: Final = 4096
FIRST_CHUNK_BYTES: Final = 128
EXTENDED: Final = 0xFFFFFF
MOST_MESSAGE_BYTES: Final = 1 << 20
HEADER_BYTES: Final = (11, 7, 3, 0)


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message."""

    kind: int
    content: bytes
    stream_id: int = 0
    timestamp_ms: int = 0


def chunks(message: Message, channel: int, *, chunk_bytes: int) -> bytes:
    """Return the bytes of a message on a chunk channel (2 to 63), cut into chunks."""
    timestamp = message.timestamp_ms & 0xFFFFFFFF
    extended = struct.pack(">I", timestamp) if timestamp >= EXTENDED else b""
    head = bytes([channel]) + min(timestamp, EXTENDED).to_bytes(3, "big") + len(message.content).to_bytes(3, "big")
    out = bytearray(head + bytes([message.kind]) + struct.pack("<I", message.stream_id) + extended)
    out += message.content[:chunk_bytes]
    for start in range(chunk_bytes, len(message.content), chunk_bytes):
        out += bytes([0xC0 | channel]) + extended + message.content[start : start + chunk_bytes]
    return bytes(out)


@dataclass(slots=True)
class _Channel:
    timestamp_ms: int = 0
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    is_extended: bool = False
    gathered: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Puts messages together out of whatever bytes have come."""

    def __init__(self) -> None:
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._rest = bytearray()
        self._channels: dict[int, _Channel] = {}

    def feed(self, content: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete.

        Raises:
            ValueError: a message is longer than any that a server has to say.
        """
        self._rest += content
        while (step := self._chunk()) is not None:
            used, message = step
            del self._rest[:used]
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE and len(message.content) >= 4:
                self._chunk_bytes = max(1, int.from_bytes(message.content[:4], "big") & 0x7FFFFFFF)
            yield message

    def _chunk(self) -> tuple[int, Message | None] | None:
        """Return how many bytes the next chunk has and the message that it completes; None: it is not all there."""
        head = self._basic_header()
        if head is None:
            return None
        form, number, place = head
        body = place + HEADER_BYTES[form]
        if len(self._rest) < body:
            return None
        channel = self._channels.setdefault(number, _Channel())
        facts = self._facts(channel, form, place)
        extended = facts.is_extended
        body += 4 if extended else 0
        wanted = min(self._chunk_bytes, facts.length - len(channel.gathered))
        if len(self._rest) < body + wanted:
            return None
        if extended and form < 3:
            facts.timestamp_ms = int.from_bytes(self._rest[body - 4 : body], "big")
        facts.gathered = channel.gathered + self._rest[body : body + wanted]
        return body + wanted, self._completed(number, facts)

    def _completed(self, number: int, facts: _Channel) -> Message | None:
        self._channels[number] = facts
        if len(facts.gathered) < facts.length:
            return None
        content, facts.gathered = bytes(facts.gathered), bytearray()
        return Message(facts.kind, content, facts.stream_id, facts.timestamp_ms)

    def _basic_header(self) -> tuple[int, int, int] | None:
        """Return (form, channel number, where the message header begins); None: it is not all there."""
        if not self._rest:
            return None
        form, number = self._rest[0] >> 6, self._rest[0] & 0x3F
        if number > 1:
            return form, number, 1
        if len(self._rest) < 2 + number:
            return None
        return form, 64 + int.from_bytes(self._rest[1 : 2 + number], "little"), 2 + number

    def _facts(self, before: _Channel, form: int, place: int) -> _Channel:
        """Return what the message header says, the rest as in the chunk before."""
        facts = _Channel(before.timestamp_ms, before.length, before.kind, before.stream_id, before.is_extended)
        head = self._rest[place : place + HEADER_BYTES[form]]
        if form < 3:
            facts.timestamp_ms = int.from_bytes(head[0:3], "big")
            facts.is_extended = facts.timestamp_ms == EXTENDED
        if form < 2:
            facts.length, facts.kind = int.from_bytes(head[3:6], "big"), head[6]
        if form == 0:
            facts.stream_id = int.from_bytes(head[7:11], "little")
        if facts.length > MOST_MESSAGE_BYTES:
            raise ValueError(f"a message of {facts.length} bytes")
        return facts
