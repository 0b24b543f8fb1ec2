"""The sound encoder: any frame size in, an unbroken clock of samples out."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from rtseg.sinks.reencode import SoundEncoder


def encoder_of(codec="aac", rate_hz=48000, layout="mono"):
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout = rate_hz, layout
    encoder.format = "fltp" if codec == "aac" else "s16"
    encoder.time_base = Fraction(1, rate_hz)
    encoder.open()
    return encoder


def frames_of(starts, samples, rate_hz, *, with_pts=True):
    for start in starts:
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        frame.pts = start if with_pts else None
        yield frame


@pytest.mark.parametrize("samples", [1, 160, 1000, 5000])
@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_any_frame_size_gives_an_unbroken_row_of_packets(samples, codec):
    encoder = encoder_of(codec)
    starts = [8000 + index * samples for index in range(max(2, 8000 // samples))]
    packets = list(SoundEncoder(encoder).packets(frames_of(starts, samples, 8000)))
    steps = np.diff([packet.pts for packet in packets])
    assert (steps == encoder.frame_size).all()
    begins = packets[0].pts if codec == "libopus" else packets[0].pts + 1024
    assert begins == pytest.approx(48000, abs=400)
    total = len(starts) * samples * 6
    assert packets[-1].pts - packets[0].pts + encoder.frame_size >= total


def test_a_hole_becomes_silence_so_what_follows_stays_in_sync():
    starts = [*range(0, 4000, 160), *range(12000, 16000, 160)]
    packets = list(SoundEncoder(encoder_of()).packets(frames_of(starts, 160, 8000)))
    assert packets[-1].pts + 1024 >= 16000 * 6
    assert (np.diff([packet.pts for packet in packets]) == 1024).all()


def test_frames_without_pts_follow_each_other():
    packets = list(SoundEncoder(encoder_of()).packets(frames_of(range(50), 160, 8000, with_pts=False)))
    assert 50 * 160 * 6 <= packets[-1].pts + 1024 <= 50 * 160 * 6 + 2048
