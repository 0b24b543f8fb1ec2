"""RTMP's chunks: what is written can be read, however the bytes arrive."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from rtseg.sinks.rtmp_chunks import SET_CHUNK_SIZE, VIDEO, ChunkReader, Message, chunks


@pytest.mark.parametrize("timestamp", [0, 5, 0xFFFFFE, 0xFFFFFF, 0x12345678])
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_there_and_back_in_pieces(timestamp, piece):
    rng = np.random.default_rng(1)
    sent = [Message(VIDEO, rng.bytes(size), 1, timestamp) for size in (0, 1, 128, 129, 1000)]
    content = b"".join(chunks(message, 6, chunk_bytes=128) for message in sent)
    reader = ChunkReader()
    got = [m for start in range(0, len(content), piece) for m in reader.feed(content[start : start + piece])]
    assert got == sent


def test_the_peer_may_change_its_chunk_size():
    reader = ChunkReader()
    content = chunks(Message(SET_CHUNK_SIZE, struct.pack(">I", 5000)), 2, chunk_bytes=128)
    content += chunks(Message(VIDEO, b"x" * 4000, 1, 3), 4, chunk_bytes=5000)
    assert [m.kind for m in reader.feed(content)] == [SET_CHUNK_SIZE, VIDEO]


def test_later_chunks_repeat_what_was_said_before():
    reader = ChunkReader()
    first = b"\x03" + b"\x00\x00\x05" + b"\x00\x00\x02" + b"\x14" + b"\x00\x00\x00\x00" + b"ab"
    same_length_and_kind = b"\x83" + b"\x00\x00\x01" + b"cd"
    assert [m.content for m in reader.feed(first + same_length_and_kind)] == [b"ab", b"cd"]


def test_a_message_without_end_is_refused():
    with pytest.raises(ValueError, match="a message of"):
        list(ChunkReader().feed(b"\x03\x00\x00\x00\xff\xff\xff\x14\x00\x00\x00\x00"))
