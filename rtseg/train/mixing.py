"""Samples from several sets: which set, which picture, and what happens to it, all from one seed and an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rtseg.train.augment import AugmentSettings
from rtseg.train.pictures import PictureSet, SetSettings
from rtseg.train.samples import Task, TrainingSample


def shares_at(settings: Sequence[SetSettings], phase: int = 0, counts: Sequence[int] = ()) -> tuple[float, ...]:
    """Return how often each set is drawn in a phase of the run, summing to 1.

    Args:
        settings: of the sets.
        phase: counted from 0.
        counts: pictures of each set, which decide where no set has a share.

    Raises:
        ConfigError: no set has a share, and the counts are not known.
    """
    raise NotImplementedError


class MixedSource:
    """Draws training samples; a `SampleSource`."""

    def __init__(
        self,
        sets: Sequence[PictureSet],
        shares: Sequence[float],
        augmentation: AugmentSettings,
        seed: int,
        task: Task = "semantic",
    ) -> None:
        """Prepare.

        Args:
            sets: with the same targets; a set's own augmentation comes before the run's.
            shares: how often each is drawn, in any unit.
            augmentation: the run's.
            seed: two sources of the same sets and seed give the same samples.
            task: of the run.

        Raises:
            ConfigError: the sets do not fit together.
        """

    def with_shares(self, shares: Sequence[float]) -> MixedSource:
        """Return a source of the same sets and seed with other shares, for another phase of the run."""
        raise NotImplementedError

    def draw(self, index: int, size_wh: tuple[int, int]) -> TrainingSample:
        """Return sample `index` of the run at a size; see `SampleSource`."""
        raise NotImplementedError

    def frequencies(self, pictures_a_set: int = 200) -> npt.NDArray[np.float64]:
        """Return the share of the labelled pixels that each target has, float64 [T], as the sets are drawn.

        Args:
            pictures_a_set: how many are looked at, spread evenly.
        """
        raise NotImplementedError
