"""From a recipe to what a run works on: sets opened, labelled by a teacher where asked for, mixed, and the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from rtseg.errors import ConfigError
from rtseg.train.loop import Materials
from rtseg.train.losses import build_loss
from rtseg.train.mixing import MixedSource, shares_at
from rtseg.train.paths import is_there
from rtseg.train.pictures import PictureSet, SetSettings
from rtseg.train.progress import Listener
from rtseg.train.pseudo import Teacher, label_set
from rtseg.train.recipe import Recipe
from rtseg.train.samples import SampleSource
from rtseg.train.sets import FileSet, open_set
from rtseg.train.settings import TeacherSettings
from rtseg.train.soft_answers import keep_answers, taught
from rtseg.train.targets import TargetTable, target_table
from rtseg.train.validate import open_validation

MakeTeacher: TypeAlias = Callable[[TeacherSettings], Teacher]
"""Loads the bundles of `[teacher]`."""


def prepare(
    recipe: Recipe,
    folder: Path,
    listener: Listener,
    *,
    make_teacher: MakeTeacher | None = None,
    start: Mapping[str, Tensor] | None = None,
    members: Sequence[Sequence[int]] | None = None,
) -> Materials:
    """Return what a run works on.

    Args:
        recipe: the recipe.
        folder: of the run; teacher labels go there unless the recipe names a folder.
        listener: told what takes time.
        make_teacher: loads a teacher, where the recipe has one.
        start: see `Materials.start`.
        members: see `Materials.members`.

    Raises:
        ConfigError: sets, classes and taxonomies do not fit together.
        SourceError: files of a set are missing.
    """
    opener = _Opener(recipe, listener)
    table = opener.table
    sets = [opener.opened(settings) for settings in opener.present()]
    if recipe.teacher is not None:
        if make_teacher is None:
            raise ConfigError("teacher: got one where none can be loaded; expected a recipe without. Run rtseg train.")
        root = recipe.base_folder / recipe.teacher.folder if recipe.teacher.folder else folder / "teacher"
        sets = opener.labelled(sets, recipe.teacher, make_teacher, root)
    sets, sample_teacher = opener.distilled(sets, make_teacher, folder)
    for each in sets:
        listener.on_note(f"set {each.settings.name}: {len(each)} pictures")
    counts = [len(each) for each in sets]
    shares = [
        shares_at([each.settings for each in sets], phase, counts) for phase in range(len(recipe.schedule.phases))
    ]
    source = MixedSource(sets, shares[0], recipe.augment, recipe.seed, recipe.task)
    frequencies = source.frequencies() if recipe.loss.class_weighting == "frequency" else None
    mildness = [phase.mildness for phase in recipe.schedule.phases]
    sources: tuple[SampleSource, ...] = tuple(map(source.with_shares, shares, mildness))
    return Materials(
        sources=sources if sample_teacher is None else taught(sources, sample_teacher),
        loss=build_loss(recipe.loss, table, frequencies),
        membership=None if table is None else torch.from_numpy(table.membership()),
        validation=open_validation(recipe),
        start=start,
        members=None if members is None else tuple(tuple(chosen) for chosen in members),
    )


def targets_of(recipe: Recipe) -> TargetTable:
    """Return the targets of a recipe's classes with the groups that its sets need. Raises ConfigError."""
    names = dict.fromkeys(settings.taxonomy for settings in recipe.sets if settings.taxonomy)
    return target_table(recipe.class_names, [recipe.taxonomy_of(name) for name in names])


class _Opener:
    """Opens the sets of a recipe."""

    def __init__(self, recipe: Recipe, listener: Listener) -> None:
        self._recipe, self._listener = recipe, listener
        self.table = None if recipe.task == "matte" else targets_of(recipe)
        """The targets; None: mattes."""

    def present(self) -> list[SetSettings]:
        """Return the sets without the optional ones that are not there. Raises ConfigError where none is."""
        found = []
        for each in self._recipe.sets:
            if each.optional and not each.is_synthetic and not is_there(each.path, self._recipe.base_folder):
                self._listener.on_note(f"set {each.name}: left out, {each.path} is not there")
            else:
                found.append(each)
        if not found:
            raise ConfigError(
                "sets: got none that is there; expected at least one. Get the pictures, or correct the paths."
            )
        return found

    def opened(self, settings: SetSettings) -> PictureSet:
        """Return one set, opened."""

        def tell(done: int, total: int) -> None:
            if done == total or done % 100 == 0:
                self._listener.on_note(f"set {settings.name}: {done} of {total} frames")

        return open_set(settings, self._recipe.base_folder, self.table, progress=tell)

    def labelled(
        self, sets: Sequence[PictureSet], settings: TeacherSettings, make_teacher: MakeTeacher, root: Path
    ) -> list[PictureSet]:
        """Return the sets, those that the teacher is to label with its targets, kept under `root`."""
        self._check_known("teacher.sets", settings.sets)
        teacher = make_teacher(settings)
        found = []
        for each in sets:
            if each.settings.name in settings.sets:
                self._listener.on_note(f"set {each.settings.name}: labelled by {teacher.name}")
                place = label_set(teacher, each, root / each.settings.name, confidence=settings.confidence)
                each = self.opened(replace(each.settings, targets=str(place.resolve())))
            found.append(each)
        return found

    def distilled(
        self, sets: Sequence[PictureSet], make_teacher: MakeTeacher | None, folder: Path
    ) -> tuple[list[PictureSet], Teacher | None]:
        """Return the sets, some with a teacher's probabilities, and whom to ask about every sample, if anyone."""
        settings = self._recipe.distil
        if settings is None:
            return list(sets), None
        if make_teacher is None:
            raise ConfigError("distil: got a teacher where none can be loaded; expected none. Run rtseg train.")
        teacher = make_teacher(
            TeacherSettings(bundles=settings.bundles, sets=(), options=settings.options, tta=settings.tta)
        )
        if settings.ask == "sample":
            return list(sets), teacher
        root = self._recipe.base_folder / settings.folder if settings.folder else folder / "soft"
        self._check_known("distil.sets", settings.sets)
        return [self._with_answers(each, teacher, root, settings.sets) for each in sets], None

    def _with_answers(self, pictures: PictureSet, teacher: Teacher, root: Path, names: Sequence[str]) -> PictureSet:
        name = pictures.settings.name
        if name not in names:
            return pictures
        if not isinstance(pictures, FileSet):
            raise ConfigError(f"distil.sets: got {name}; expected pictures on disk. Leave it out.")

        def tell(done: int, total: int) -> None:
            if done == total or done % 100 == 0:
                self._listener.on_note(f"set {name}: {done} of {total} answered by {teacher.name}")

        return keep_answers(teacher, pictures, root / name, progress=tell)

    def _check_known(self, key: str, names: Sequence[str]) -> None:
        """Raise ConfigError where a name is not that of a set of the recipe."""
        known = [each.name for each in self._recipe.sets]
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(f"{key}: got {unknown[0]!r}; expected some of {', '.join(known)}. Correct it.")
