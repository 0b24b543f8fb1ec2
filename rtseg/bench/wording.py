"""What is timed and what is not, in plain sentences that go into every document."""

from __future__ import annotations

from rtseg.bench.settings import BenchOptions
from rtseg.bench.steady import CRITERION


def timed(options: BenchOptions) -> list[str]:
    """Return a sentence for each number that is measured."""
    return [
        f"fps: frames that the last sink has taken, (n - 1) / span over {options.seconds:g} s, after the warm-up; the "
        f"median of {options.repeats} repetitions, interleaved between all settings.",
        "bare_fps: the same loaded engine in the same round, fed prepared pictures, as many in flight as it takes.",
        "efficiency: fps / bare_fps of the same round; the median of the rounds.",
        "core_ms: processor time of the whole process and its children, in milliseconds a frame.",
        "limit_fps: cores x 1000 / (core-milliseconds a frame of decoding, bare inference and encoding, each measured "
        "alone in the same round with the cores kept busy and the same codec settings): a perfect pipeline with a "
        "free compositor. limit_share: fps / limit_fps. work_share: the same core-milliseconds / core_ms, how much of "
        "the processor time could not be left out; limit_share is lower where cores stood idle or others used them.",
        "latency_ms: from when a frame left the decoder (paced: from when it was due) until it was composited; "
        "frame_age_ms: until the last sink has taken it. Both contain waiting between the stages.",
        "stages: time a frame spent inside each stage, waiting for other stages left out; infer is the time from "
        "submission to result, in which frames overlap.",
        "spread: (most - least) / median of the repetitions.",
        "score: the card's headline, at the card's input size; `file` says which of its files it was measured with.",
        "memory_peak_mib: the most resident memory of the process, with every compared engine loaded.",
    ]


def not_timed() -> list[str]:
    """Return a sentence for each thing that is left out."""
    return [
        "Loading and compiling of models, opening of sources and sinks.",
        f"The warm-up of each repetition, until the rate is {CRITERION}.",
        "Sound; the end of a file after its last frame; what a display does after it was given a frame.",
        "Rendering of built-in scenes: they are written to an H.264 file first, and that is decoded.",
    ]
