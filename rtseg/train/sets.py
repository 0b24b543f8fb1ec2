"""Sets of training pictures on disk, opened from their table in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rtseg.train.pictures import LabelledPicture as LabelledPicture
from rtseg.train.pictures import PictureSet as PictureSet
from rtseg.train.pictures import SetSettings as SetSettings
from rtseg.train.targets import TargetTable


def open_set(
    settings: SetSettings,
    base_folder: Path,
    table: TargetTable | None,
    *,
    cache_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PictureSet:
    """Return the set that a table of a recipe means; a synthetic one is rendered where that was not done yet.

    Args:
        settings: the table.
        base_folder: the recipe's folder, against which paths are meant.
        table: the targets of the run; None: mattes.
        cache_folder: where synthetic frames are kept; None: the user's cache.
        progress: told (frames done, frames in all) while frames are rendered.

    Raises:
        ConfigError: a path or a list is missing, or options do not fit.
        SourceError: files of the set are missing or broken.
    """
    raise NotImplementedError
