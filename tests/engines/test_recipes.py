"""The recipes of the shipped bundles: they can be read, keep to the limits, and never train on what is scored."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the recipes need the extra `train`")

from rtseg.models.nets.blocks import parameter_count
from rtseg.train.networks import build_network
from rtseg.train.recipe import load_recipe

pytestmark = pytest.mark.needs_torch
ENGINES = Path(__file__).resolve().parents[2] / "engines"
MOST_PARAMETERS = {"street": 3.9e6, "person": 3.3e6}


@pytest.fixture(params=sorted(MOST_PARAMETERS))
def recipe(request):
    return load_recipe(ENGINES / f"{request.param}.toml")


def test_a_shipped_network_keeps_to_its_size(recipe):
    network = build_network(recipe.network, recipe.outputs)
    deploy = getattr(network, "deploy", None)
    assert parameter_count(network if deploy is None else deploy()) < MOST_PARAMETERS[recipe.export.name]


def test_a_recipe_makes_the_bundle_of_its_name(recipe):
    assert (ENGINES / recipe.export.name / "model.toml").is_file()
    assert recipe.task == ("matte" if recipe.export.name == "person" else "semantic")
    assert recipe.export.sources
    assert all(source.licence for source in recipe.export.sources)


def test_what_is_scored_is_not_trained_on(recipe):
    trained = {(each.path, each.split): each for each in recipe.sets}
    assert recipe.validation.set
    for scored in recipe.validation.set:
        same = trained.get((scored.path, scored.split))
        if same is not None:  # one folder for both: what one takes, the other leaves out
            assert scored.only
            assert same.exclude == scored.only


def test_the_committed_lists_are_the_hash():
    lists = tomllib.loads((ENGINES / "splits" / "validation.toml").read_text())
    assert set(lists) == {"idd_lite", "portraits", "fashion"}
    for name, stems in lists.items():
        assert len(stems) == len(set(stems)) > 50
        assert all(int(hashlib.sha256(f"{name}/{s}".encode()).hexdigest(), 16) % 10 == 0 for s in stems)
