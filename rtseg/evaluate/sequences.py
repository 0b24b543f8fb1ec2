"""Score a set of sequences: each on its own, and the mean of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.datasets.files import natural_key
from rtseg.errors import SourceError
from rtseg.evaluate.pictures import PictureReport, plain


@dataclass(frozen=True, slots=True)
class SequencesReport:
    """Reports by the name of the sequence, in natural order."""

    sequences: Mapping[str, PictureReport]

    @property
    def headline(self) -> dict[str, float]:
        """The mean of the sequences' headline scores, each sequence weighing the same."""
        scores = [report.headline for report in self.sequences.values()]
        return {name: float(np.nanmean([score[name] for score in scores])) for name in scores[0]}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "headline": plain(self.headline),
            "headline_is": "mean over sequences",
            "sequences": {name: report.to_json() for name, report in self.sequences.items()},
        }


def sequence_folders(root: Path) -> list[Path]:
    """Return the folders of a set of sequences that hold images/, in natural order. Raises SourceError for none."""
    found = [path.parent for path in root.glob("*/images") if path.is_dir()]
    if not found:
        raise SourceError(f"sequences: got no folder with images/ in {root}; expected one a sequence. Check the path.")
    return sorted(found, key=lambda path: natural_key(path.name))
