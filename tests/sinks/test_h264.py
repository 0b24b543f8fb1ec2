"""NAL units and the headers that carriers need."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rtseg.errors import SinkError
from rtseg.sinks.address import LiveOptions
from rtseg.sinks.h264 import avc_configuration, parameter_sets, units, with_adts, with_lengths
from rtseg.sinks.live_video import LiveVideo


def test_units_of_both_lengths_of_start_code():
    content = b"\x00\x00\x00\x01\x67ab\x00\x00\x01\x68c\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65\x00\x00\x03\x01z"
    assert units(content) == [b"\x67ab", b"\x68c", b"\x65\x00\x00\x03\x01z"]


def test_lengths_take_the_place_of_start_codes():
    assert with_lengths(b"\x00\x00\x01\x65abc") == b"\x00\x00\x00\x04\x65abc"


def test_no_headers_is_an_error():
    with pytest.raises(SinkError, match="no SPS and PPS"):
        parameter_sets(b"\x00\x00\x01\x65abc")


def test_the_configuration_is_the_one_that_ffmpeg_makes(tools, tmp_path):
    """FFmpeg's own muxer, given the same headers, writes the same avcC box."""
    import av

    video = LiveVideo(tools.stream_format((64, 48)), LiveOptions(), shown="test")
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "superfast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.profile = "High"
        stream.codec_context.open()
        own = bytes(stream.codec_context.extradata)
        container.start_encoding()
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    content = (tmp_path / "x.mp4").read_bytes()
    place = content.index(b"avcC") + 4
    length = int.from_bytes(content[place - 8 : place - 4], "big") - 8
    assert content[place : place + length] == avc_configuration(own)
    assert avc_configuration(video.headers)[:1] == b"\x01"


def test_adts_says_what_the_configuration_says():
    packet = with_adts(b"x" * 100, bytes([0x11, 0x90]))  # AAC-LC, 48 kHz, stereo
    assert packet[:2] == b"\xff\xf1"
    assert (packet[2] >> 6, packet[2] >> 2 & 15, (packet[2] & 1) << 2 | packet[3] >> 6) == (1, 3, 2)
    assert (packet[3] & 3) << 11 | packet[4] << 3 | packet[5] >> 5 == 107
