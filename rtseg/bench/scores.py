"""Which score on a model's card stands for its accuracy, and whether it was measured with the file in use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from rtseg.models.bundle import Bundle

SPELLINGS: Final = {"miou": "mIoU", "iou": "IoU", "mad": "MAD", "camvid": "CamVid", "idd": "IDD", "davis": "DAVIS"}
"""Words of a card's keys as people write them."""


def score_of(bundle: Bundle, precision: str) -> dict[str, Any] | None:
    """Return the card's headline, its first score: name, value, and which file it was measured with.

    It is the same for every precision, so that they can be compared. A card's scores are those of the file that it
    prefers. For the other file the parity report's score is taken where it is of the same data; else the value stays
    that of the preferred file, and `precision` says so. None where the card has no score.
    """
    name = next((name for name, value in bundle.scores.items() if isinstance(value, float)), None)
    if name is None:
        return None
    in_use, preferred = ("int8" if found == "int8" else "float" for found in (precision, bundle.default_precision))
    value, file = float(bundle.scores[name]), preferred
    report = bundle.scores.get("int8")
    if in_use != preferred and isinstance(report, Mapping) and _words(report.get("data")) == _words(name)[:-1]:
        other = report.get("miou" if in_use == "int8" else "miou_fp32")
        if isinstance(other, float):
            value, file = other, in_use
    return {"name": " ".join(SPELLINGS.get(word, word) for word in _words(name)), "value": value, "file": file}


def score_notes(score: Mapping[str, Any] | None, precision: str) -> list[str]:
    """Return a sentence where a score was measured with another file than the one in use."""
    in_use = "int8" if precision == "int8" else "float"
    if score is None or score["file"] == in_use:
        return []
    return [f"{score['name']} was measured with the {score['file']} file; the {in_use} file's is not on the card."]


def _words(text: object) -> list[str]:
    return [word for word in re.split(r"[_/\s]+", str(text or "")) if word]
