"""A parity report as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table


def parity_tables(report: Mapping[str, Any]) -> Iterator[Table | str]:
    """Yield what a report says: the classes, the totals, the verdict."""
    yield _classes(report)
    yield _totals(report)
    yield str(report["verdict"])


def _classes(report: Mapping[str, Any]) -> Table:
    truth = report["data"] if report["labelled"] else f"{report['data']} (truth: the float network)"
    table = Table(title=f"IoU by class on {truth}, {report['frames']} frames", title_justify="left")
    table.add_column("class")
    for name in ("fp32", "built", "loss"):
        table.add_column(name, justify="right")
    for name, scores in report["classes"].items():
        before, after = scores["iou_fp32"], scores["iou"]
        table.add_row(name, _percent(before), _percent(after), _points(before, after))
    before, after = report["miou_fp32"], report["miou"]
    table.add_section()
    table.add_row("mean", _percent(before), _percent(after), _points(before, after))
    return table


def _totals(report: Mapping[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_row("labels as in fp32", _percent(report["label_agreement"]))
    if report["alpha_mad"] is not None:
        table.add_row("matte, mean absolute difference", f"{report['alpha_mad']:.4f}")
    worst = report["largest_class_loss"]
    if worst is not None:
        table.add_row("largest loss of a class", f"{worst['class']}, {100 * worst['iou_loss']:.2f} points")
    if "layers" in report:
        left = report["left_in_higher_precision"]
        table.add_row("layers in higher precision", f"{len(left)} of {report['layers']}")
        for layer, error in left.items():
            table.add_row("", f"{layer} (alone: {error:.4f})")
    for name, count in report["bytes"].items():
        table.add_row(f"{name.replace('_', ' ')}, MB", f"{count / 1e6:.2f}")
    speed = report.get("speed")
    if speed is not None:
        before = speed[f"median_ms_{speed['against']}"]
        times = f"{speed['median_ms']:.1f} ms against {before:.1f} in {speed['against']}"
        table.add_row("speed-up", f"{speed['speed_up']:.2f} ({times}, {speed['rounds']} rounds)")
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _points(before: float | None, after: float | None) -> str:
    return "-" if before is None or after is None else f"{100 * (before - after):.2f}"
