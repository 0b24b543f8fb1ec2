"""Which codec goes into which container, and how each encoder is set up.

Quality is one number, 0 (small) to 100 (next to no loss); it becomes the encoder's constant rate factor (CRF):

    codec   encoder      CRF at 0, 70 (default), 100    preset
    h264    libx264      40, 19, 10                     superfast
    h265    libx265      42, 21, 12                     superfast
    vp9     libvpx-vp9   55, 24, 10                     realtime, cpu-used 7
    av1     libsvtav1    58, 27, 13                     9
    prores  prores_ks    no CRF: profile standard below 50, HQ from there on; 4444 with alpha or an odd size
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtseg.errors import ConfigError

DEFAULT_QUALITY: Final = 70
MOST_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Container:
    """What one file extension stands for."""

    muxer: str
    """FFmpeg's name of the container."""
    codecs: tuple[str, ...]
    """Codecs that may go in; the first is the default."""
    alpha_codec: str | None = None
    """The codec that carries transparency in this container."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one codec is encoded."""

    encoder: str
    """FFmpeg's name of the encoder."""
    crf_worst: float
    """CRF at quality 0."""
    crf_best: float
    """CRF at quality 100."""
    odd_pixel_format: str | None
    """Pixel format of odd sizes; None: the codec holds even sizes only."""
    smallest_px: int = 1
    """Smallest side in pixels that the encoder is safe with."""


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """Everything that is decided before an encoder is opened."""

    muxer: str
    codec: str
    encoder: str
    pixel_format: str
    options: dict[str, str]
    thread_count: int
    codec_tag: str | None
    limited_only: bool
    """True where the codec cannot say full range, so that pictures must be limited."""
    on_gpu: bool = False
    """True where the GPU's own encoder works, on frames that may be in its memory."""


CONTAINERS: Final[dict[str, Container]] = {
    ".mp4": Container("mp4", ("h264", "h265", "av1", "vp9")),
    ".m4v": Container("mp4", ("h264", "h265")),
    ".mov": Container("mov", ("h264", "h265", "prores"), alpha_codec="prores"),
    ".mkv": Container("matroska", ("h264", "h265", "vp9", "av1", "prores")),
    ".webm": Container("webm", ("vp9", "av1"), alpha_codec="vp9"),
}

CODECS: Final[dict[str, Codec]] = {
    "h264": Codec("libx264", 40, 10, "yuv444p"),
    "h265": Codec("libx265", 42, 12, "yuv444p", smallest_px=64),  # x265 overruns its buffers on 33x17
    "vp9": Codec("libvpx-vp9", 55, 10, "yuv444p"),
    "av1": Codec("libsvtav1", 58, 13, None),
    "prores": Codec("prores_ks", 0, 0, "yuv444p10le"),
}

CODEC_ALIASES: Final[dict[str, str]] = {"hevc": "h265", "avc": "h264", "x264": "h264", "x265": "h265"}

ALPHA_WAYS: Final = "a .mov file (ProRes 4444), a .webm file (VP9 with alpha) or a PNG sequence (frames:DIR)"


def plan_encoder(
    path: Path,
    *,
    codec: str | None,
    quality: float | None,
    size_wh: tuple[int, int],
    has_alpha: bool,
    threads: int | None,
) -> EncoderPlan:
    """Return how a video file of this name, size and transparency is encoded.

    Raises:
        ConfigError: extension, codec, quality, size or alpha do not go together; the message names what does.
    """
    container = container_of(path)
    chosen = _choose_codec(path, container, codec, has_alpha=has_alpha)
    quality = check_quality(quality)
    pixel_format = _pixel_format(path, chosen, size_wh, has_alpha=has_alpha)
    thread_count = threads if threads is not None else min(_usable_cores(), MOST_THREADS)
    return EncoderPlan(
        muxer=container.muxer,
        codec=chosen,
        encoder=CODECS[chosen].encoder,
        pixel_format=pixel_format,
        options=_encoder_options(chosen, quality, pixel_format, thread_count),
        thread_count=thread_count,
        codec_tag="hvc1" if chosen == "h265" and container.muxer in ("mp4", "mov") else None,
        limited_only=chosen == "prores",
    )


def container_of(path: Path) -> Container:
    """Return the container that the file's extension stands for."""
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise ConfigError(
            f"video file {path.name}: got the extension {path.suffix or '(none)'!r}; "
            f"expected {', '.join(CONTAINERS)}. Give the output one of these names."
        )
    return container


def check_quality(quality: float | None) -> float:
    """Return the quality, the default for None."""
    if quality is None:
        return DEFAULT_QUALITY
    if not 0 <= quality <= 100:
        raise ConfigError(f"quality: got {quality:g}; expected 0 (small) to 100 (next to no loss). Give another.")
    return float(quality)


def check_codec(codec: str | None) -> str | None:
    """Return the codec's own name (aliases resolved), or None for the container's default."""
    if codec is None:
        return None
    name = CODEC_ALIASES.get(codec.lower(), codec.lower())
    if name not in CODECS:
        raise ConfigError(f"codec: got {codec!r}; expected {', '.join(CODECS)}. Give one of these.")
    return name


def _choose_codec(path: Path, container: Container, codec: str | None, *, has_alpha: bool) -> str:
    name = check_codec(codec)
    if has_alpha and (container.alpha_codec is None or name not in (None, container.alpha_codec)):
        what = path.suffix if name is None else f"{path.suffix} with {name}"
        raise ConfigError(f"transparent video {path.name}: got {what}; expected {ALPHA_WAYS}. Name one of these.")
    if has_alpha and container.alpha_codec is not None:
        return container.alpha_codec
    if name is None:
        return container.codecs[0]
    if name not in container.codecs:
        homes = ", ".join(suffix for suffix, other in CONTAINERS.items() if name in other.codecs)
        raise ConfigError(
            f"codec {name} in {path.name}: got a {path.suffix} file; expected {', '.join(container.codecs)} "
            f"in {path.suffix}. Choose one of these, or write {name} to {homes}."
        )
    return name


def _pixel_format(path: Path, codec: str, size_wh: tuple[int, int], *, has_alpha: bool) -> str:
    odd = bool(size_wh[0] % 2 or size_wh[1] % 2)
    smallest_px = CODECS[codec].smallest_px
    if min(size_wh) < smallest_px:
        raise ConfigError(
            f"{path.name}: got {size_wh[0]}x{size_wh[1]} with {codec}; expected at least {smallest_px} pixels a side. "
            f"Choose another codec, such as h264."
        )
    if codec == "prores":
        if has_alpha:
            return "yuva444p10le"
        return "yuv444p10le" if odd else "yuv422p10le"
    if has_alpha and odd:
        raise ConfigError(
            f"transparent video {path.name}: got the odd size {size_wh[0]}x{size_wh[1]}; expected an even size, since "
            f"VP9 carries alpha in 4:2:0 only. Write a .mov file (ProRes 4444) or a PNG sequence (frames:DIR)."
        )
    if has_alpha:
        return "yuva420p"
    if not odd:
        return "yuv420p"
    odd_format = CODECS[codec].odd_pixel_format
    if odd_format is None:
        able = ", ".join(name for name, other in CODECS.items() if other.odd_pixel_format)
        raise ConfigError(
            f"{path.name}: got the odd size {size_wh[0]}x{size_wh[1]} with {codec}, which is written 4:2:0; "
            f"expected an even size. Choose a codec that also writes 4:4:4: {able}."
        )
    return odd_format


def _crf(codec: str, quality: float) -> float:
    worst, best = CODECS[codec].crf_worst, CODECS[codec].crf_best
    return worst + (best - worst) * quality / 100.0


def _encoder_options(codec: str, quality: float, pixel_format: str, threads: int) -> dict[str, str]:
    crf = _crf(codec, quality)
    if codec == "h264":
        return {"preset": "superfast", "crf": f"{crf:.1f}"}
    if codec == "h265":
        return {"preset": "superfast", "crf": f"{crf:.1f}", "x265-params": f"log-level=none:pools={threads}"}
    if codec == "vp9":
        return _vp9_options(round(crf), has_alpha="yuva" in pixel_format)
    if codec == "av1":
        return {"preset": "9", "crf": str(round(crf)), "svtav1-params": f"lp={threads}"}
    profile = "4" if "444" in pixel_format else ("3" if quality >= 50 else "2")
    return {"profile": profile, "vendor": "apl0"}


def _vp9_options(crf: int, *, has_alpha: bool) -> dict[str, str]:
    options = {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "crf": str(crf), "b": "0"}
    if has_alpha:  # the two layers must stay frame for frame together, which hidden reference frames would break
        options["auto-alt-ref"] = "0"
    return options


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
