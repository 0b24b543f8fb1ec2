"""Reports as text for a terminal: a table, the totals, the time and the protocol."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rtseg.evaluate.pictures import PictureReport
from rtseg.evaluate.sequences import SequencesReport
from rtseg.evaluate.video import VideoReport

_TOTALS: Final[dict[str, str]] = {
    "miou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean class accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_f": "boundary F-score",
    "calibration_error": "calibration error",
    "mad": "MAD x 1000",
    "mse": "MSE x 1000",
    "gradient": "gradient error / 1000",
}
_SCALES: Final[dict[str, float]] = {"mad": 1000, "mse": 1000, "gradient": 1}
_LEFT_OUT: Final = ("machine", "reasons")
"""Only in the JSON."""


def picture_text(report: PictureReport) -> str:
    """Return the whole report."""
    return "\n".join([*_table(report), "", *_totals(report), "", *protocol_lines(report.protocol)])


def sequences_text(report: SequencesReport) -> str:
    """Return the score of each sequence, their mean, and the protocol of each."""
    width = max(len(name) for name in report.sequences)
    lines = [f"{name:<{width}}  {_headline(one.headline)}" for name, one in report.sequences.items()]
    hashes = ", ".join(f"{n} {one.protocol['split_hash']}" for n, one in report.sequences.items())
    first = next(iter(report.sequences.values()))
    pictures = sum(one.protocol["pictures"] for one in report.sequences.values())
    shared = first.protocol | {"dataset": "sequences", "pictures": pictures, "split_hash": hashes}
    mean = f"{'mean':<{width}}  {_headline(report.headline)} (over sequences)"
    return "\n".join([*lines, mean, "", *protocol_lines(shared)])


def video_text(report: VideoReport) -> str:
    """Return flips with smoothing off and on."""
    times = "" if math.isnan(report.times_fewer) else f" ({report.times_fewer:.1f} times fewer)"
    return "\n".join(
        [
            "label flips per pixel per second where the picture does not change",
            f"  smoothing off  {report.flips_off:.4f}",
            f"  smoothing on   {report.flips_on:.4f}{times}",
            f"  unchanged      {report.unchanged_share:.1%} of the picture",
            "",
            *protocol_lines(report.protocol),
        ]
    )


def protocol_lines(protocol: Mapping[str, Any]) -> Iterator[str]:
    """Yield the protocol, a fact a line."""
    yield "protocol"
    for key, value in protocol.items():
        if key not in _LEFT_OUT and value not in ({}, [], ""):
            yield f"  {key.replace('_', ' '):<19} {_words(key, value)}"


def _table(report: PictureReport) -> Iterator[str]:
    width = max(10, *(len(score.name) for score in report.classes))
    yield f"{'class':<{width}} {'IoU':>8} {'accuracy':>9} {'boundary F':>11} {'true pixels':>12}"
    for score in report.classes:
        shares = f"{_percent(score.iou):>8} {_percent(score.accuracy):>9} {_percent(score.boundary_f):>11}"
        yield f"{score.name:<{width}} {shares} {score.pixels:>12}"


def _totals(report: PictureReport) -> Iterator[str]:
    for key, value in report.totals.items():
        shown = f"{value * _SCALES[key]:.2f}" if key in _SCALES else _percent(value)
        yield f"{_TOTALS[key]:<24} {shown:>7}"
    median, slow = report.call_ms["median"], report.call_ms["p90"]
    yield f"{'milliseconds a frame':<24} {median:>7.1f} (median; 90 % within {slow:.1f})"
    yield f"{'score':<24} {_headline(report.headline)}"


def _headline(headline: Mapping[str, float]) -> str:
    return ", ".join(f"{'mean IoU' if name == 'miou' else f'{name} IoU'} {_percent(v)}" for name, v in headline.items())


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}"


def _words(key: str, value: Any) -> str:
    if key == "class_mapping":
        return _mapping_words(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} -> {other}" for name, other in value.items())
    if isinstance(value, list):
        shown = ", ".join(str(part) for part in value[:4])
        return shown + (f" and {len(value) - 4} more" if len(value) > 4 else "")
    return str(value)


def _mapping_words(mapping: Mapping[str, str]) -> str:
    """Return a class mapping by its targets: "road <- road; sign <- traffic light, traffic sign"."""
    by_target: dict[str, list[str]] = {}
    for name, target in mapping.items():
        by_target.setdefault(target, []).append(name)
    if all(names == [target] for target, names in by_target.items()):
        return "the same names"
    return "; ".join(f"{target} <- {', '.join(names)}" for target, names in by_target.items())
