"""The decode times of a file sink, on packets made by hand."""

from __future__ import annotations

import av
import pytest

from rtseg.sinks.clock import DecodeTimes

FRAME_TICKS = 512


def packet_of(pts, dts):
    packet = av.Packet(b"x")
    packet.pts, packet.dts, packet.duration = pts, dts, FRAME_TICKS
    return packet


def mended(pairs):
    """Send packets of these (pts, dts) through, the last as the last; return their (dts, duration)."""
    times = DecodeTimes(frame_ticks=FRAME_TICKS)
    packets = [packet_of(pts, dts) for pts, dts in pairs]
    for packet in packets:
        times.mend_first(packet)
    times.mend_last(packets[-1], max(pts for pts, _ in pairs) + FRAME_TICKS)
    return [(packet.dts, packet.duration) for packet in packets]


def test_a_steady_stream_is_left_alone():
    pairs = [(0, -1024), (1536, -512), (1024, 0), (512, 512)]
    assert mended(pairs) == [(dts, FRAME_TICKS) for _, dts in pairs]


def test_the_gaps_between_decode_times_sum_up_to_the_length():
    pairs = [(0, -26000), (39000, -13000), (26000, 0), (13000, 13000)]
    times = mended(pairs)
    assert times[-1][0] + times[-1][1] - times[0][0] == 39000 + FRAME_TICKS
    assert [dts for dts, _ in times] == sorted({dts for dts, _ in times})
    assert all(dts <= pts for (pts, _), (dts, _) in zip(pairs, times, strict=True))


@pytest.mark.parametrize("junk", [-9_010_935_785_186_668_641, -4_294_967_295, 1, 700, 8_561_672_310_333_722_157])
@pytest.mark.parametrize("count", [1, 2])
def test_junk_for_a_decode_time_becomes_a_right_one(junk, count):
    pairs = [(index * FRAME_TICKS, junk + index * FRAME_TICKS) for index in range(count)]
    decode_times = [dts for dts, _ in mended(pairs)]
    assert decode_times == sorted(set(decode_times))
    assert all(-2 * FRAME_TICKS <= dts <= pts for (pts, _), dts in zip(pairs, decode_times, strict=True))
