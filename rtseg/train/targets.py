"""What one byte of a training target means: a class, a group of classes of which any is right, or nothing.

A set with fewer classes teaches a network with more through groups: where CamVid says "sign", the 19 Cityscapes classes
"traffic light" and "traffic sign" are both right, and the loss asks for the sum of their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rtseg.datasets import Taxonomy, load_taxonomy
from rtseg.errors import ConfigError
from rtseg.types import UInt8Array

IGNORED: Final = 255
"""Target of a pixel that teaches nothing."""


@dataclass(frozen=True, slots=True)
class TargetTable:
    """The targets of a run: 0 .. C - 1 are its classes, C .. T - 1 its groups."""

    classes: tuple[str, ...]
    """Names of the C classes of the network."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Class indices of each group, two or more each, sorted."""

    def __post_init__(self) -> None:
        """Check that every target fits into a byte and every group into the classes."""
        if not 1 <= len(self) <= IGNORED or len(set(self.classes)) != len(self.classes):
            raise ConfigError(
                f"targets: got {len(self.classes)} classes and {len(self.groups)} groups; expected different names, "
                f"at most {IGNORED} in all. Take fewer taxonomies."
            )
        if any(len(g) < 2 or not 0 <= min(g) <= max(g) < len(self.classes) for g in self.groups):
            raise ConfigError(f"targets: got the groups {self.groups}; expected two or more class indices each.")

    def __len__(self) -> int:
        """Return the number of targets, T."""
        return len(self.classes) + len(self.groups)

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The classes that are right under each of the T targets."""
        return (*((index,) for index in range(len(self.classes))), *self.groups)

    def membership(self) -> npt.NDArray[np.bool_]:
        """Return which classes are right under which target, bool [T, C]."""
        table = np.zeros((len(self), len(self.classes)), np.bool_)
        for target, members in enumerate(self.members):
            table[target, list(members)] = True
        return table

    def target_of(self, members: Sequence[int]) -> int:
        """Return the target under which exactly these classes are right.

        It is `IGNORED` where none are (the set knows a thing that the network does not), and where all are (it says
        nothing).

        Raises:
            ConfigError: they are a group that the table has not.
        """
        chosen = tuple(sorted(members))
        if not chosen or len(chosen) == len(self.classes) > 1:
            return IGNORED
        if chosen not in self.members:
            names = ", ".join(self.classes[index] for index in chosen)
            raise ConfigError(f"targets: got the group {names}, which the table has not. Name its taxonomy as well.")
        return self.members.index(chosen)

    def lookup(self, taxonomy: Taxonomy) -> UInt8Array:
        """Return the target of every label id of a set, uint8 [256]; `IGNORED` where it teaches nothing.

        Raises:
            ConfigError: the table was made without this taxonomy.
        """
        table = np.full(256, IGNORED, np.uint8)
        members = taxonomy.members(self.classes)
        for own, name in enumerate(taxonomy.classes):
            if own not in taxonomy.ignored_ids:
                scored = taxonomy.classes.index(taxonomy.merged.get(name, name))
                table[own] = self.target_of(members[scored])
        return table

    def of_names(self, names: Sequence[str], taxonomy: Taxonomy | None = None) -> UInt8Array:
        """Return the target of every id of finer labels than the network's, uint8 [256].

        Args:
            names: what the ids mean.
            taxonomy: the network's own, which says what other names are there; None: only equal names count.
        """
        table = np.full(256, IGNORED, np.uint8)
        for own, name in enumerate(names):
            found = name if name in self.classes else taxonomy.class_of(name) if taxonomy else None
            if found in self.classes:
                table[own] = self.classes.index(found)
        return table

    def targets_within(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return which targets allow nothing but classes of these names, bool [T]."""
        wanted = {index for index, name in enumerate(self.classes) if name in names}
        return np.array([set(members) <= wanted for members in self.members], np.bool_)


def target_table(classes: Sequence[str], taxonomies: Sequence[Taxonomy | str] = ()) -> TargetTable:
    """Return the table of a network's classes with the groups that these sets of labels need.

    Args:
        classes: the network's classes, in order.
        taxonomies: of the sets that it is trained on, by name or as they are.

    Raises:
        ConfigError: a taxonomy is unknown or has no class in common with the network.
    """
    found: set[tuple[int, ...]] = set()
    for taxonomy in taxonomies:
        chosen = load_taxonomy(taxonomy) if isinstance(taxonomy, str) else taxonomy
        members = chosen.members(classes)
        if not any(members):
            raise ConfigError(
                f"taxonomy {chosen.name}: got no class that {', '.join(classes[:4])} … belong to; expected a common "
                "class. Add lines under [map], or choose another."
            )
        found |= {group for group in members if 1 < len(group) < len(classes)}
    return TargetTable(tuple(classes), tuple(sorted(found)))
