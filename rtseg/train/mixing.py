"""Samples from several sets: which set, which picture, and what happens to it, all from one seed and an index."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.train.augment import AugmentSettings, augment_settings, milder
from rtseg.train.camera import faulty, recoloured
from rtseg.train.compose import placed, plain_wall
from rtseg.train.pictures import LabelledPicture, PictureSet, SetSettings
from rtseg.train.rare_views import choose_view, rarity_of
from rtseg.train.samples import Task, TrainingSample
from rtseg.train.soft_answers import planes_of
from rtseg.train.targets import IGNORED
from rtseg.train.warping import AffineMap, at_scale, looks_outside, random_warp, warp_ids, warp_smooth
from rtseg.train.weather import SceneKinds, weathered
from rtseg.types import UInt8Array

WALL_SHARE = 0.12
"""Backgrounds that are nothing but a wall."""
ADDED_SHARE = 0.25
"""How often, against the crowds of cut-outs, somebody is added to a picture that is left as it is."""


def shares_at(settings: Sequence[SetSettings], phase: int = 0, counts: Sequence[int] = ()) -> tuple[float, ...]:
    """Return how often each set is drawn in a phase of the run, summing to 1.

    Args:
        settings: of the sets.
        phase: counted from 0.
        counts: pictures of each set, which decide where no set has a share.

    Raises:
        ConfigError: no set has a share, and the counts are not known.
    """
    shares = [each.share_at(phase) for each in settings]
    if not any(shares):
        shares = [each.repeat * count for each, count in zip(settings, counts, strict=True)] if counts else []
    if not sum(shares) > 0:
        raise ConfigError(f"sets: got no share above 0 in phase {phase}; expected one. Give a set a share.")
    return tuple(share / sum(shares) for share in shares)


class MixedSource:
    """Draws training samples; a `SampleSource`. Threading: several threads at once."""

    def __init__(
        self,
        sets: Sequence[PictureSet],
        shares: Sequence[float],
        augmentation: AugmentSettings,
        seed: int,
        task: Task = "semantic",
        mildness: float = 0.0,
    ) -> None:
        """Prepare.

        Args:
            sets: with the same targets; a set's own augmentation comes before the run's.
            shares: how often each is drawn, in any unit.
            augmentation: the run's.
            seed: two sources of the same sets and seed give the same samples.
            task: of the run.
            mildness: how much weaker the changes are, see `Phase.mildness`.

        Raises:
            ConfigError: the sets do not fit together.
        """
        if not sets or len(sets) != len(shares) or min(shares) < 0 or not sum(shares) > 0:
            raise ConfigError(f"sets: got {len(sets)} with the shares {list(shares)}; expected one each, some above 0.")
        if any((each.table is None) != (task == "matte") or each.table != sets[0].table for each in sets):
            raise ConfigError(
                f"sets: got targets that are not those of task {task}; expected one kind. Open them anew."
            )
        if empty := [each.settings.name for each in sets if not len(each)]:
            raise ConfigError(f"set {empty[0]}: got no picture; expected some. Correct its path.")
        self._sets, self._seed, self._task, self._augmentation = tuple(sets), seed, task, augmentation
        self._shares = np.asarray(shares, np.float64) / sum(shares)
        self._changes = [milder(augment_settings(each.settings.augment, augmentation), mildness) for each in sets]
        self._rarity: npt.NDArray[np.float64] | None = None
        if sets[0].table is not None and any(changes.rare_share for changes in self._changes):
            self._rarity = rarity_of(self.frequencies())
        self._kinds = None if sets[0].table is None else SceneKinds(sets[0].table)
        self._people = self._weights([each.settings.cut_out for each in sets])
        self._backgrounds = self._weights([each.settings.background for each in sets])

    def with_shares(self, shares: Sequence[float], mildness: float = 0.0) -> MixedSource:
        """Return a source of the same sets and seed with other shares and changes, for another phase of the run."""
        return MixedSource(self._sets, shares, self._augmentation, self._seed, self._task, mildness)

    def draw(self, index: int, size_wh: tuple[int, int]) -> TrainingSample:
        """Return sample `index` of the run at a size; see `SampleSource`."""
        rng = np.random.default_rng([self._seed, index])
        which = int(rng.choice(len(self._sets), p=self._shares))
        chosen, changes = self._sets[which], self._changes[which]
        if self._task == "matte":
            sample = self._person(chosen, changes, size_wh, rng)
        else:
            sample = self._scene(_any(chosen, rng), changes, size_wh, rng)
        # Colours belong to the scene and come before the weather: fog is not violet, nor a lamp at night.
        rgb = recoloured(sample.rgb, rng, changes.colour) if changes.colour else sample.rgb
        if self._kinds is not None:
            rgb = weathered(rgb, sample.target, self._kinds, changes, rng)
        return TrainingSample(faulty(rgb, changes, rng), sample.target, sample.ignored, chosen.pseudo, sample.soft)

    def frequencies(self, pictures_a_set: int = 200) -> npt.NDArray[np.float64]:
        """Return the share of the labelled pixels that each target has, float64 [T], as the sets are drawn.

        Args:
            pictures_a_set: how many are looked at, spread evenly.

        Raises:
            ConfigError: the sets have no targets to count, or no label at all.
        """
        table = self._sets[0].table
        if table is None:
            raise ConfigError("frequencies: got mattes; expected classes. Leave class_weighting at none.")
        total = np.zeros(len(table))
        for each, share in zip(self._sets, self._shares, strict=True):
            if share > 0:
                total += share * _frequencies(each, len(table), pictures_a_set)
        if not total.sum() > 0:
            raise ConfigError("frequencies: got sets without any label; expected some. Add a labelled set.")
        return np.asarray(total / total.sum(), np.float64)

    def _weights(self, wanted: Sequence[bool]) -> npt.NDArray[np.float64] | None:
        """Return how often each set is drawn among some of them, by share; None where none is drawn."""
        weights = np.where(wanted, self._shares, 0.0)
        if not weights.sum() > 0:
            weights = np.where(wanted, 1.0, 0.0)
        return np.asarray(weights / weights.sum(), np.float64) if weights.sum() > 0 else None

    def _scene(
        self, picture: LabelledPicture, changes: AugmentSettings, size_wh: tuple[int, int], rng: np.random.Generator
    ) -> LabelledPicture:
        """Return a view of a road, with the teacher's probabilities uint8 [K, h, w] at half its size if there are."""
        own_wh = (picture.rgb.shape[1], picture.rgb.shape[0])
        views = changes.rare_views if self._rarity is not None and rng.random() < changes.rare_share else 1
        warps = [random_warp(own_wh, size_wh, changes, rng) for _ in range(views)]
        matrix = warps[0]
        if self._rarity is not None and views > 1:
            matrix = choose_view(picture.target, warps, size_wh, self._rarity)
        rgb = warp_smooth(picture.rgb, matrix, size_wh)
        target = warp_ids(picture.target, matrix, size_wh, IGNORED)
        return LabelledPicture(rgb, target, soft=self._soft(picture, matrix, size_wh))

    def _soft(self, picture: LabelledPicture, matrix: AffineMap, size_wh: tuple[int, int]) -> UInt8Array | None:
        table = self._sets[0].table
        if picture.soft is None or table is None:
            return None
        half_wh = (size_wh[0] // 2, size_wh[1] // 2)
        factor = picture.soft.shape[2] / picture.rgb.shape[1], picture.soft.shape[1] / picture.rgb.shape[0]
        moved = at_scale(matrix, factor, 2.0)
        groups = [warp_smooth(np.asarray(group), moved, half_wh, outside=0) for group in picture.soft]
        return planes_of(np.stack(groups), len(table.classes))

    def _person(
        self, chosen: PictureSet, changes: AugmentSettings, size_wh: tuple[int, int], rng: np.random.Generator
    ) -> LabelledPicture:
        """Return a person as photographed, or cut out and set before something else, or with others."""
        source = _any(chosen, rng)
        if chosen.settings.cut_out and rng.random() < changes.cut_out_share:
            scene = self._background(changes, size_wh, rng)
            if rng.random() < changes.nobody_share:
                return scene
            scene = placed(source, scene, rng, light_matching=changes.light_matching)
            others = int(rng.integers(1, 3)) if rng.random() < changes.crowd_share else 0
            for _ in range(others):
                scene = self._with_somebody(scene, changes, rng)
            return scene
        scene = seen(source, changes, size_wh, rng, outside=None)
        is_crowded = not chosen.settings.empty and rng.random() < changes.crowd_share * ADDED_SHARE
        return self._with_somebody(scene, changes, rng) if is_crowded else scene

    def _with_somebody(
        self, scene: LabelledPicture, changes: AugmentSettings, rng: np.random.Generator
    ) -> LabelledPicture:
        if self._people is None:
            return scene
        people = self._sets[int(rng.choice(len(self._sets), p=self._people))]
        return placed(_any(people, rng), scene, rng, light_matching=changes.light_matching, behind=True)

    def _background(
        self, changes: AugmentSettings, size_wh: tuple[int, int], rng: np.random.Generator
    ) -> LabelledPicture:
        """Return a scene for cut-outs: a picture of a background set, perhaps out of focus, or a wall."""
        if self._backgrounds is None or rng.random() < WALL_SHARE:
            return LabelledPicture(plain_wall(size_wh, rng), np.zeros(size_wh[::-1], np.uint8))
        chosen = self._sets[int(rng.choice(len(self._sets), p=self._backgrounds))]
        scene = seen(_any(chosen, rng), changes, size_wh, rng, outside=None)
        rgb = scene.rgb
        if rng.random() < 0.4:
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 3.0)), np.uint8)
        if changes.colour:
            rgb = recoloured(rgb, rng, 0.6 * changes.colour)
        return LabelledPicture(rgb, scene.target, scene.ignored)


def _any(chosen: PictureSet, rng: np.random.Generator) -> LabelledPicture:
    return chosen.picture(int(rng.integers(len(chosen))))


def seen(
    picture: LabelledPicture,
    changes: AugmentSettings,
    size_wh: tuple[int, int],
    rng: np.random.Generator,
    *,
    outside: int | None,
) -> LabelledPicture:
    """Return a random view of a picture.

    Args:
        picture: as on disk.
        changes: how far the view may go.
        size_wh: of the view.
        rng: the sample's generator.
        outside: the target of what lies outside the picture; None: the target is a matte, unknown there.
    """
    own_wh = (picture.rgb.shape[1], picture.rgb.shape[0])
    matrix = random_warp(own_wh, size_wh, changes, rng)
    rgb = warp_smooth(picture.rgb, matrix, size_wh)
    if outside is not None:
        return LabelledPicture(rgb, warp_ids(picture.target, matrix, size_wh, outside))
    target = warp_smooth(picture.target, matrix, size_wh)
    nobody = picture.ignored is None and not cv2.countNonZero(picture.target)
    if nobody or (picture.ignored is None and not looks_outside(matrix, own_wh, size_wh)):
        return LabelledPicture(rgb, target)
    known = np.full(own_wh[::-1], 255, np.uint8)
    if picture.ignored is not None:
        known[picture.ignored] = 0
    return LabelledPicture(rgb, target, warp_smooth(known, matrix, size_wh, outside=0) < 250)


def _frequencies(chosen: PictureSet, targets: int, at_most: int) -> npt.NDArray[np.float64]:
    """Return the share of a set's labelled pixels that each target has; zeros where it has no labels."""
    counts = np.zeros(256, np.int64)
    number = min(at_most, len(chosen))
    for index in range(number):
        target: UInt8Array = chosen.picture(index * len(chosen) // number).target
        counts += np.bincount(target.reshape(-1), minlength=256)
    known = counts[:targets].astype(np.float64)
    return known / max(1.0, float(known.sum()))
