"""The smaller tables of a recipe: classes, pseudo-labels, teacher, validation, export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rtseg.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSettings:
    """`[classes]`: what the model knows."""

    taxonomy: str = ""
    """Takes the classes of a taxonomy, by name or TOML file."""
    names: tuple[str, ...] = ()
    """Or: class names, in order."""
    palette: tuple[str, ...] = ()
    """"#rrggbb" of each class; empty: colours that are easy to tell apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoSettings:
    """`[pseudo]`: what labels leave open is filled in by the averaged copy of the network itself."""

    start: float = 1.0
    """Progress at which it begins, 0..1; 1: never."""
    confidence: float = 0.6
    """Probability above which it is believed."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.start <= 1 or not 0 < self.confidence < 1:
            raise ConfigError(
                f"pseudo: got start {self.start}, confidence {self.confidence}; expected shares of 0 to 1. Correct it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSettings:
    """`[teacher]`: sets that other bundles label before the run begins; the labels are kept and used again."""

    bundles: tuple[str, ...]
    """Names, folders or .onnx files; several are averaged."""
    sets: tuple[str, ...]
    """Names of the recipe's sets that it labels, inside their own labels where they have some."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Facts about those that have no card, as `--model-option` takes them: classes = "cityscapes", scale = "1/255" …"""
    confidence: float = 0.6
    """Probability above which it is believed."""
    tta: tuple[Literal["flip", "scale"], ...] = ()
    """Views of each picture that are averaged."""
    folder: str = ""
    """Where the labels are kept, against the recipe's folder; empty: the run's folder, so that each run labels anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings:
    """`[distil]`: probabilities of other bundles as targets beside the truth; `loss.distil` is their weight."""

    bundles: tuple[str, ...]
    """Names, folders or .onnx files; several are averaged."""
    options: Mapping[str, str] = field(default_factory=dict)
    """See `TeacherSettings.options`."""
    tta: tuple[Literal["flip", "scale"], ...] = ()
    """Views of each picture that are averaged."""
    ask: Literal["picture", "sample"] = "picture"
    """picture: once about each picture of `sets`, before the run, and the answer moves along with the view; sample:
    about each augmented sample of any set (mattes only)."""
    sets: tuple[str, ...] = ()
    """Names of the recipe's sets whose pictures are asked about."""
    folder: str = ""
    """Where these answers are kept, against the recipe's folder; empty: the run's folder."""

    def __post_init__(self) -> None:
        """Check that it is said what is asked about."""
        if (self.ask == "picture") != bool(self.sets):
            raise ConfigError(
                f"distil: got ask {self.ask} with {len(self.sets)} sets; expected sets for picture, none for sample. "
                "Correct it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSet:
    """`[[validation.set]]`: labelled pictures that are scored and never trained on."""

    name: str
    """What it is called in the curves."""
    path: str
    """Its folder, against the recipe's; `${NAME}` is taken from the environment."""
    taxonomy: str
    """What its labels mean: a name, or a TOML file against the recipe's folder."""
    layout: str = "auto"
    """One of `rtseg.datasets.LAYOUTS`."""
    split: str | None = None
    """train, val … where there are several."""
    only: str = ""
    """`FILE` or `FILE:KEY`: nothing but the names of this list; KEY: the set's name."""
    limit: int = 0
    """At most so many pictures, spread evenly; 0: all."""
    weight: float = 1.0
    """In the mean that decides which checkpoint is the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings:
    """`[validation]`: how often the averaged network is scored, on what, and when a run that stands still ends."""

    set: tuple[ScoredSet, ...] = ()
    every: float = 0.1
    """Share of the budget between two."""
    patience: int = 0
    """The run ends after so many validations without a better score; 0: never."""
    size_wh: tuple[int, int] | None = None
    """Input size that is scored; None: the export's, else the last phase's."""
    overlays: int = 6
    """Pictures that are drawn beside their truth at every validation."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.every <= 1 or self.patience < 0 or self.overlays < 0:
            raise ConfigError(
                f"validation: got every {self.every}, patience {self.patience}, overlays {self.overlays}; expected a "
                "share of 0 to 1 and counts. Correct it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of what a bundle was trained on."""

    name: str
    licence: str
    pairs: int = 0
    """Labelled pictures; 0: unknown or not a set of pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """`[export]`: the bundle that a run ends with, and what its card says."""

    name: str
    size_wh: tuple[int, int]
    """Input width and height of the bundle in pixels."""
    licence: str = "not stated: what the training pictures allow"
    """Of the weights."""
    version: str = "0.1.0"
    description: str = ""
    intended_use: str = ""
    limits: str = ""
    recipe: str = ""
    """Where this recipe is to be found, for the card."""
    effect: str = ""
    """What `rtseg run` draws without -e; empty: by task."""
    offsets: tuple[str, ...] = ()
    """Classes only: names of validation sets on all of whose pictures one number a class is fitted that is added to
    its logits, see `rtseg.train.offsets`. The scores on these sets are then a little optimistic."""
    sources: tuple[Source, ...] = ()
    """What it was trained on."""

    def __post_init__(self) -> None:
        """Check the size."""
        if any(side < 32 or side % 32 for side in self.size_wh):
            raise ConfigError(f"export.size_wh: got {self.size_wh}; expected multiples of 32. Correct it.")
