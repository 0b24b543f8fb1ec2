"""What a set of training pictures is: its table in the recipe, and how its pictures are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from rtseg.errors import ConfigError
from rtseg.train.targets import TargetTable
from rtseg.types import UInt8Array

SYNTHETIC: Final = "synthetic:"
"""A path that begins with it names a built-in scene."""


@dataclass(frozen=True, slots=True)
class SetSettings:
    """One entry `[[set]]` of a recipe."""

    name: str
    """What the set is called in reports."""
    path: str
    """Its folder, against the recipe's; `${NAME}` is taken from the environment. Or `synthetic:street`, …:desk."""
    taxonomy: str = ""
    """What its labels mean: a name, or a TOML file against the recipe's folder. Not needed where it has no labels."""
    layout: str = "auto"
    """One of `rtseg.datasets.LAYOUTS`."""
    split: str | None = None
    """train, val … where there are several."""
    exclude: str = ""
    """`FILE` or `FILE:KEY`: a TOML file with a list of names that are kept for validation; KEY: the set's name."""
    only: str = ""
    """The same: nothing but the names of the list."""
    labelled: bool = True
    """False: the pictures have no labels; see `empty` and `targets`."""
    empty: bool = False
    """The pictures have no labels and show no subject (mattes only): the right answer is nothing."""
    targets: str = ""
    """A folder with targets that a teacher wrote, instead of labels; see `rtseg.train.pseudo.label_set`."""
    share: float = 0.0
    """How often its pictures are drawn, relative to the other sets; 0 in all sets: by their numbers of pictures."""
    shares: tuple[float, ...] = ()
    """The share in each phase of the run, where it changes; the last one holds on."""
    repeat: float = 1.0
    """How many times each picture counts where no set has a share."""
    augment: str | Mapping[str, Any] = ""
    """A profile, or a table of `AugmentSettings` (with `profile` as what it starts from); empty: the run's."""
    optional: bool = False
    """True: where its folder is not there, the run goes on without it and says so."""
    cut_out: bool = False
    """Mattes only: its people may be placed on other backgrounds."""
    background: bool = False
    """Mattes only: its pictures may stand behind cut-out people (whoever they show stays in the target)."""
    longest_px: int = 0
    """Pictures with a longer side are made smaller once, when read; 0: never."""
    memory_mb: int = 1024
    """How much of the set stays decoded in memory; the rest is read again each time."""
    frames: int = 900
    """Synthetic only: how many frames are rendered."""
    size_wh: tuple[int, int] = (640, 360)
    """Synthetic only: their size."""
    seed: int = 0
    """Synthetic only: chooses which moments of which scenes."""

    def __post_init__(self) -> None:
        """Check what a recipe may have wrong."""
        if min((self.share, *self.shares)) < 0 or self.repeat <= 0:
            raise ConfigError(f"set {self.name}: got a share below 0, or repeat <= 0; expected more. Change it.")
        if self.labelled and not (self.taxonomy or self.is_synthetic or self.empty or self.targets):
            raise ConfigError(f"set {self.name}: got no taxonomy; expected what its labels mean. Or labelled = false.")
        if self.memory_mb < 0 or self.longest_px < 0 or self.frames < 1:
            raise ConfigError(f"set {self.name}: got a size below 0, or no frames; expected more. Change it.")

    @property
    def is_synthetic(self) -> bool:
        """True where the set is rendered."""
        return self.path.startswith(SYNTHETIC)

    def share_at(self, phase: int) -> float:
        """Return the share in a phase, counted from 0."""
        return self.shares[min(phase, len(self.shares) - 1)] if self.shares else self.share


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """One picture as it is on disk, with its target. All arrays are read-only by agreement: they are shared."""

    rgb: UInt8Array
    """uint8 [H, W, 3]."""
    target: UInt8Array
    """uint8 [H, W], see Note [Training targets]."""
    ignored: npt.NDArray[np.bool_] | None = None
    """Mattes only: bool [H, W], True where the target is unknown."""
    soft: UInt8Array | None = None
    """uint8 [G, h, w, 4], a teacher's probabilities; see Note [Kept answers] in `soft_answers`."""


class PictureSet(Protocol):
    """Pictures by index. Threading: may be asked from several threads at once."""

    @property
    def settings(self) -> SetSettings:
        """Its table in the recipe."""

    @property
    def table(self) -> TargetTable | None:
        """The targets; None: mattes."""

    @property
    def pseudo(self) -> bool:
        """True where the targets leave classes open."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> LabelledPicture:
        """Return one picture. Raises SourceError where its files cannot be read."""
