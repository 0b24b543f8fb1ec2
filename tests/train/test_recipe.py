"""Recipes: read strictly, changed from the command line, written back whole."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.builder.toml_text import toml_text
from rtseg.errors import ConfigError
from rtseg.train.recipe import apply_change, load_recipe, recipe_from
from tests.train.tiny import tables

pytestmark = pytest.mark.needs_torch


def written(tmp_path, **changes):
    path = tmp_path / "recipe.toml"
    path.write_text(toml_text(tables(**changes)))
    return path


def test_a_recipe_reads_back_from_what_it_writes(tmp_path):
    recipe = load_recipe(written(tmp_path, pseudo={"start": 0.4}, export={"name": "x", "size_wh": [64, 32]}))
    elsewhere = tmp_path / "run" / "recipe.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(toml_text(recipe.to_tables()))
    assert load_recipe(elsewhere) == recipe


def test_classes_come_from_a_taxonomy_or_names(tmp_path):
    named = load_recipe(written(tmp_path, classes={"taxonomy": "camvid11"}))
    assert named.class_names[:2] == ("sky", "building")
    assert named.outputs == 11
    assert len(named.palette) == 11
    with pytest.raises(ConfigError, match="got taxonomy and names"):
        load_recipe(written(tmp_path, classes={"taxonomy": "camvid11", "names": ["a"]}))


def test_a_matte_has_one_output_and_two_classes(tmp_path):
    recipe = load_recipe(written(tmp_path, task="matte", classes={}))
    assert (recipe.outputs, recipe.class_names, recipe.loss.task) == (1, ("background", "person"), "matte")
    with pytest.raises(ConfigError, match="expected background and subject"):
        load_recipe(written(tmp_path, task="matte", classes={"names": ["a", "b", "c"]}))


def test_changes_go_to_dotted_keys_and_named_sets(tmp_path):
    changes = ["schedule.rate=0.5", "set.squares.share=0.25", "set.0.seed=4", "optimiser.name=sgd", "schedule.steps="]
    recipe = load_recipe(written(tmp_path), [*changes, "schedule.minutes=2"])
    assert (recipe.schedule.rate, recipe.schedule.minutes, recipe.schedule.steps) == (0.5, 2.0, None)
    assert (recipe.sets[0].share, recipe.sets[0].seed, recipe.optimiser.name) == (0.25, 4, "sgd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("schedule", "expected KEY=VALUE"),
        ("set.circles.share=1", r"got 'circles'; expected one of squares"),
        ("seed.x=1", "is inside a value|expected a key of a table"),
        ("schedule.rat=1", r"got an unknown key 'rat'.*Did you mean 'rate'"),
    ],
)
def test_a_change_that_leads_nowhere_fails(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(written(tmp_path, seed=1), [change])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sched": {}}, r"unknown table or key 'sched'.*Did you mean 'schedule'"),
        ({"network": {"name": "BiSeNet"}}, r"got the network 'BiSeNet'.*Did you mean 'BiSeNetV2'"),
        ({"network": {"name": "DdrNet", "plane": 8}}, r"unknown setting 'plane' of DdrNet.*Did you mean 'planes'"),
        ({"set": []}, r"got no \[\[set\]\]"),
        ({"loss": {"task": "matte"}}, r"task semantic with loss.task matte"),
        ({"validation": {"set": [{"name": "v"}]}}, r"validation.set\[0\]: got no path, taxonomy"),
        ({"augment": {"flips": True}}, r"augment: got flips"),
        ({"classes": {"names": ["a", "a"]}}, "empty or twice"),
        ({"loss": 3}, r"expected a table \[loss\]"),
    ],
)
def test_what_cannot_be_right_fails(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        recipe_from(tables(**changes), tmp_path)


def test_a_recipe_that_is_no_file_fails(tmp_path):
    with pytest.raises(ConfigError, match="expected a TOML file"):
        load_recipe(tmp_path / "none.toml")


def test_a_change_makes_the_tables_it_needs():
    found: dict = {}
    apply_change(found, "a.b.c=[1, 2]")
    assert found == {"a": {"b": {"c": [1, 2]}}}


def test_distilling_needs_a_teacher_a_weight_and_the_right_question(tmp_path):
    picture = {"bundles": ["t.onnx"], "sets": ["squares"]}
    found = recipe_from(tables(distil=picture, loss={"distil": 0.5}), tmp_path)
    assert found.distil.sets == ("squares",)
    assert recipe_from(found.to_tables(), tmp_path).distil == found.distil
    wrong = [
        ({"distil": picture}, "both or neither"),
        ({"loss": {"distil": 0.5}}, "both or neither"),
        ({"distil": {"bundles": ["t.onnx"]}, "loss": {"distil": 0.5}}, "sets"),
        ({"distil": {"bundles": ["t.onnx"], "ask": "sample"}, "loss": {"distil": 0.5}}, "picture for classes"),
    ]
    for changes, message in wrong:
        with pytest.raises(ConfigError, match=message):
            recipe_from(tables(**changes), tmp_path)
