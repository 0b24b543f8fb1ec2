"""RTP packets: fragments make the unit again, numbers and stamps go on, reports tie clocks together."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np

from rtseg.sinks.rtp import MOST_PAYLOAD_BYTES, RtpStream, picture_payloads, sound_payload


def unit_of(payloads: list[bytes]) -> bytes:
    """What a receiver makes of the fragments of one unit."""
    head = bytes([payloads[0][0] & 0xE0 | payloads[0][1] & 0x1F])
    return head + b"".join(payload[2:] for payload in payloads)


def test_small_units_go_alone_and_big_ones_in_fragments():
    big = b"\x65" + np.random.default_rng(3).bytes(5000).replace(b"\x00", b"\x01")
    payloads = list(picture_payloads(b"\x00\x00\x00\x01\x67abc\x00\x00\x01" + big))
    assert payloads[0] == (b"\x67abc", False)
    pieces = [payload for payload, _ in payloads[1:]]
    assert max(map(len, pieces)) <= MOST_PAYLOAD_BYTES
    assert unit_of(pieces) == big
    assert [payload[1] >> 7 for payload in pieces] == [1, 0, 0, 0]
    assert [payload[1] >> 6 & 1 for payload in pieces] == [0, 0, 0, 1]
    assert [is_last for _, is_last in payloads] == [False, False, False, False, True]


def test_numbers_rise_and_stamps_follow_the_time():
    stream = RtpStream(payload_type=96, rate_hz=90_000, wall_start_seconds=0.0)
    first = stream.packet(b"a", Fraction(0), is_last=False)
    second = stream.packet(b"b", Fraction(1, 3), is_last=True)
    number = [struct.unpack(">H", packet[2:4])[0] for packet in (first, second)]
    stamp = [struct.unpack(">I", packet[4:8])[0] for packet in (first, second)]
    assert (number[1] - number[0]) % 65536 == 1
    assert (stamp[1] - stamp[0]) % (1 << 32) == 30_000
    assert (first[1], second[1]) == (96, 96 | 128)


def test_reports_of_two_streams_say_one_clock():
    streams = [RtpStream(payload_type=96, rate_hz=hz, wall_start_seconds=1000.25) for hz in (90_000, 48_000)]
    seconds = Fraction(1, 2)
    reports = [stream.report(seconds) for stream in streams]
    packets = [stream.packet(b"", seconds, is_last=True) for stream in streams]
    for report, packet in zip(reports, packets, strict=True):
        assert report is not None
        whole, part, stamp = struct.unpack(">III", report[8:20])
        assert whole - 2_208_988_800 + part / (1 << 32) == 1000.75
        assert stamp == struct.unpack(">I", packet[4:8])[0]
    assert streams[0].report(seconds) is None  # not again within five seconds


def test_sound_has_its_length_before_it():
    assert sound_payload(b"x" * 300) == struct.pack(">HH", 16, 300 << 3) + b"x" * 300
