"""Paths and lists of names as a recipe writes them."""

from __future__ import annotations

import os
import string
import tomllib
from pathlib import Path

from rtseg.errors import ConfigError


def expanded(path: str, base_folder: Path, where: str) -> Path:
    """Return a path of a recipe against its folder, with `${NAME}` taken from the environment.

    Args:
        path: as it is written.
        base_folder: the recipe's folder.
        where: what the path is of, for messages.

    Raises:
        ConfigError: a variable is not set.
    """
    try:
        return base_folder / Path(string.Template(path).substitute(os.environ)).expanduser()
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{where}: got the path {path} with {error} not set; expected a folder there. Export that variable."
        ) from None


def existing(path: str, base_folder: Path, where: str) -> Path:
    """Return the same, of something that is there. Raises ConfigError."""
    found = expanded(path, base_folder, where)
    if not found.exists():
        raise ConfigError(f"{where}: got {found}, which does not exist; expected the set there. Correct the path.")
    return found


def is_there(path: str, base_folder: Path) -> bool:
    """Tell whether a path of a recipe leads somewhere; one with a variable that is not set does not."""
    try:
        return expanded(path, base_folder, path).exists()
    except ConfigError:
        return False


def listed_names(spec: str, base_folder: Path, key: str) -> frozenset[str]:
    """Return the names in a list of a TOML file.

    Args:
        spec: `FILE`, or `FILE:KEY`.
        base_folder: the recipe's folder.
        key: where the list is in the file, if the spec does not say it.

    Raises:
        ConfigError: there is no such list.
    """
    place, _, named = spec.partition(":")
    try:
        names = tomllib.loads((base_folder / place).read_text(encoding="utf-8")).get(named or key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"list {spec}: got {error}; expected FILE:KEY, a list in a TOML file. Correct it.") from error
    if not isinstance(names, list):
        raise ConfigError(f"list {spec}: got no list {named or key!r}; expected names of pictures. Correct the key.")
    return frozenset(str(name) for name in names)
