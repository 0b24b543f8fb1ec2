"""Moving the index of an MP4 to the front changes where its bytes are, and nothing that is played."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np

from rtseg.serve.faststart import make_faststart
from tests.conftest import write_clip


def played(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Every picture's and every sound packet's bytes, with their times."""
    with av.open(str(path)) as container:
        video = [str(frame.pts).encode() + frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        audio = [str(packet.pts).encode() + bytes(packet) for packet in container.demux(audio=0)]
    return video, audio


def test_the_index_goes_to_the_front_and_all_plays_as_before(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    before, content = played(clip), clip.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    assert make_faststart(clip)
    after = clip.read_bytes()
    assert after.index(b"moov") < after.index(b"mdat")
    assert len(after) == len(content)
    assert played(clip) == before
    assert not make_faststart(clip)  # once is enough
    assert clip.read_bytes() == after


def test_places_of_eight_bytes_are_moved_too(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    before = played(clip)
    clip.write_bytes(with_long_places(clip.read_bytes()))
    assert played(clip) == before
    assert make_faststart(clip)
    assert played(clip) == before


def with_long_places(content: bytes) -> bytes:
    """Replace every `stco` by the `co64` that means the same, and mend the sizes of the boxes round it."""

    def rewritten(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
                body = rewritten(body)
            elif kind == b"stco":
                places = np.frombuffer(body[8:], ">u4").astype(">u8")
                kind, body = b"co64", body[:8] + places.tobytes()
            out += struct.pack(">I4s", len(body) + 8, kind) + body
            at += size
        return out

    at = content.index(b"moov") - 4
    return content[:at] + rewritten(content[at:])


def test_what_is_no_mp4_is_left_alone(tmp_path):
    for content in (b"", b"nothing", b"\x00\x00\x00\x00moov", struct.pack(">I4s", 4, b"moov") * 3, b"\xff" * 100):
        path = tmp_path / "x.mp4"
        path.write_bytes(content)
        assert not make_faststart(path)
        assert path.read_bytes() == content
