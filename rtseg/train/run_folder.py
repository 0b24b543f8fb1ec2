"""The folder of a run, and what is in it.

recipe.toml          everything that the run was asked for, defaults included
run.json             machine, device, and what the run ended with
curves.jsonl         a row every few steps and every validation
curves.png           the same as a picture
last.safetensors     the state to resume from, with its predecessor in previous.safetensors
best.safetensors     averaged weights with the best validation score, from which another run can start
overlays/            pictures beside truth and prediction, a PNG a validation
bundle/              what `rtseg run -m` takes, where the recipe has [export]

"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rtseg.builder.toml_text import toml_text
from rtseg.errors import ConfigError
from rtseg.train.checkpoint import has_checkpoint
from rtseg.train.curves import draw_curves
from rtseg.train.recipe import Recipe, load_recipe

RECIPE_NAME: Final = "recipe.toml"
CURVES_NAME: Final = "curves.jsonl"
BEST_NAME: Final = "best.safetensors"


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """The folder."""

    @property
    def best(self) -> Path:
        """Where the best averaged weights are."""
        return self.path / BEST_NAME

    @property
    def bundle(self) -> Path:
        """Where the exported bundle goes."""
        return self.path / "bundle"

    def begin(self, recipe: Recipe, *, resume: bool) -> None:
        """Make the folder and write the recipe; a run that is there is continued or refused, never mixed up.

        Raises:
            ConfigError: there is a run already, or none to resume, or one with another network or classes.
        """
        there = has_checkpoint(self.path)
        if there and not resume:
            raise ConfigError(
                f"--out: got {self.path}, which holds a run; expected a new folder. Add --resume to continue that run."
            )
        if resume and (self.path / RECIPE_NAME).is_file():
            self._check_same(recipe)
        try:
            (self.path / "overlays").mkdir(parents=True, exist_ok=True)
            waiting = self.path / f".part-{RECIPE_NAME}"
            waiting.write_text(toml_text(recipe.to_tables()), encoding="utf-8")
            waiting.replace(self.path / RECIPE_NAME)
        except OSError as error:
            raise ConfigError(
                f"--out: got {error.strerror} for {self.path}; expected a folder that can be written. Choose another."
            ) from error
        if not there:
            (self.path / CURVES_NAME).write_text("", encoding="utf-8")

    def _check_same(self, recipe: Recipe) -> None:
        before, now = load_recipe(self.path / RECIPE_NAME).to_tables(), recipe.to_tables()
        parts = {"task": "task", "network": "network", "classes.names": "classes", "optimiser.name": "optimiser"}
        for shown, part in parts.items():
            old, new = (tables[part] for tables in (before, now))
            key = shown.partition(".")[2]
            old, new = (old[key], new[key]) if key else (old, new)
            if old != new:
                raise ConfigError(
                    f"--resume: got {shown} {new}; expected {old}, with which the run began. "
                    "Resume with that recipe, or choose another --out."
                )

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the curves; a last line that a kill cut off is left out."""
        path = self.path / CURVES_NAME
        found = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    def forget_after(self, step: int) -> None:
        """Drop the rows after a step: those that a run being resumed will write once more."""
        kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
        waiting = self.path / f".part-{CURVES_NAME}"
        waiting.write_text("".join(kept), encoding="utf-8")
        waiting.replace(self.path / CURVES_NAME)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append a row to the curves; NaN becomes null."""
        with (self.path / CURVES_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(row)) + "\n")

    def draw(self) -> None:
        """Draw the curves."""
        draw_curves(self.path / "curves.png", self.rows())

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps(_finite(facts), indent=2)
        (self.path / "run.json").write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """Return plain values with None for what JSON has no number for."""
    if isinstance(value, float):
        return round(value, 7) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
