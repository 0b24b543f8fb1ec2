"""What a picture costs the encoders that a browser understands, at the rate that `rtseg serve` uses for a camera.

    python benchmarks/live/encoders.py

Processor time a picture of 640x480 (the built-in desk), the rate that came out, and how close the luma stays.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import av
import numpy as np

from rtseg import open_source
from rtseg.serve.encoding import _H264_OPTIONS, _VP8_OPTIONS, BITS_A_PIXEL_AND_SECOND

SIZE_WH = (640, 480)
BITS = round(SIZE_WH[0] * SIZE_WH[1] * BITS_A_PIXEL_AND_SECOND)
RATE = {"maxrate": str(BITS), "bufsize": str(BITS // 4)}
WARM_UP = 5
TRIES = {
    "H264 as served": ("libx264", _H264_OPTIONS),
    "H264 superfast": ("libx264", {**_H264_OPTIONS, "preset": "superfast"}),
    "H264 veryfast": ("libx264", {**_H264_OPTIONS, "preset": "veryfast"}),
    "H264 medium (aiortc)": ("libx264", {**_H264_OPTIONS, "preset": "medium"}),
    "VP8 as served": ("libvpx", _VP8_OPTIONS),
    "VP8 cpu-used 8": ("libvpx", {**_VP8_OPTIONS, "cpu-used": "-8"}),
}


def measure(encoder: str, options: dict[str, str], pictures: list[av.VideoFrame]) -> tuple[float, float, float]:
    """Return milliseconds of the processor a picture, kbit/s, and PSNR of the luma in dB."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height = SIZE_WH
    context.pix_fmt, context.bit_rate, context.thread_count = "yuv420p", BITS, 1
    context.time_base, context.framerate = Fraction(1, 90_000), Fraction(30)
    if encoder == "libvpx":
        context.qmin, context.qmax = 4, 52
    context.options = {**options, **RATE}
    decoder = av.CodecContext.create("h264" if encoder == "libx264" else "vp8", "r")
    spent, sizes, errors = [], [], []
    for picture in pictures:
        began = time.process_time()
        packets = context.encode(picture)
        spent.append(time.process_time() - began)
        sizes += [packet.size for packet in packets]
        luma = picture.to_ndarray()[: SIZE_WH[1]].astype(float)
        for packet in packets:
            errors += [
                np.mean((seen.to_ndarray()[: SIZE_WH[1]] - luma) ** 2)
                for seen in decoder.decode(packet)  # type: ignore[attr-defined]
            ]
    psnr = 10 * np.log10(255**2 / np.mean(errors[WARM_UP:]))
    return 1000 * float(np.mean(spent[WARM_UP:])), sum(sizes) * 8 / len(pictures) * 30 / 1000, float(psnr)


def main() -> None:
    """Measure all and print a table."""
    with open_source("synthetic:desk", size_wh=SIZE_WH, frame_count=60) as source:
        pictures = [
            av.VideoFrame.from_ndarray(frame.rgb, format="rgb24").reformat(format="yuv420p")
            for frame in source.frames()
        ]
    for index, picture in enumerate(pictures):
        picture.pts, picture.time_base = index * 3000, Fraction(1, 90_000)
    print("| encoder | ms a picture | kbit/s | PSNR, dB |\n|---|---|---|---|")
    for name, (encoder, options) in TRIES.items():
        spent_ms, rate, psnr = measure(encoder, dict(options), pictures)
        print(f"| {name} | {spent_ms:.1f} | {rate:.0f} | {psnr:.1f} |")


if __name__ == "__main__":
    main()
