"""Fine-tuning: from a bundle and a folder to a recipe, and what is kept of the bundle's weights."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("safetensors", reason="training needs the extra `train`")

from rtseg.builder.export import load_weights  # noqa: E402
from rtseg.errors import ConfigError  # noqa: E402
from rtseg.models.bundle import list_bundles, load_bundle  # noqa: E402
from rtseg.train.device import choose_device  # noqa: E402
from rtseg.train.finetune import before_and_after, plan_finetune  # noqa: E402
from rtseg.train.finish import card_scores  # noqa: E402
from rtseg.train.loop import Trainer  # noqa: E402
from rtseg.train.networks import build_network, carry_over, head_weights, network_from  # noqa: E402
from rtseg.train.prepare import prepare  # noqa: E402
from rtseg.train.progress import Silent  # noqa: E402
from rtseg.train.recipe import load_recipe  # noqa: E402
from rtseg.train.run_folder import RunFolder  # noqa: E402
from tests.train.tiny import write_squares  # noqa: E402

pytestmark = pytest.mark.needs_torch


def planned(tmp_path, bundle="street", classes="ground,car", **options):
    data = tmp_path / "data"
    if not data.exists():
        write_squares(data)
    return plan_finetune(bundle, data, tmp_path / "run", name="mine", classes=classes, **options)


@pytest.mark.parametrize("name", list_bundles())
def test_every_shipped_bundle_names_the_network_of_its_weights(name):
    bundle = load_bundle(name)
    network = network_from(bundle.training["network"], name)
    outputs = 1 if bundle.task == "matte" else len(bundle.classes)
    carry_over(build_network(network, outputs), load_weights(bundle.folder / "weights.safetensors"), {}, None)


def test_other_classes_keep_the_rows_of_their_namesakes(tmp_path):
    plan = planned(tmp_path)
    street = plan.bundle.classes
    assert plan.recipe.class_names == ("ground", "car")
    assert plan.members == ((), (street.index("car"),))
    assert plan.kept_classes == ("car",)
    assert plan.recipe.optimiser.head_rate > 1
    folder = RunFolder(tmp_path / "run")
    folder.begin(plan.recipe, resume=False)
    materials = prepare(plan.recipe, folder.path, Silent(), start=plan.start, members=plan.members)
    trainer = Trainer(plan.recipe, materials, folder, choose_device("cpu", threads=1), Silent())
    mine = trainer.network.state_dict()
    heads = head_weights(plan.recipe.network, 2)
    for name, value in mine.items():
        if name in heads:
            rows, old = heads[name], street.index("car")
            assert torch.equal(value[rows:], plan.start[name][old * rows : (old + 1) * rows]), name
        else:
            assert torch.equal(value, plan.start[name]), name


def test_the_same_classes_keep_the_whole_head(tmp_path):
    plan = planned(tmp_path, classes=None)
    assert plan.members is None
    assert plan.recipe.class_names == plan.bundle.classes
    assert plan.recipe.optimiser.head_rate == 1


def test_the_run_can_be_repeated_from_its_folder_alone(tmp_path):
    plan = planned(tmp_path, steps=3)
    folder = RunFolder(tmp_path / "run")
    folder.begin(plan.recipe, resume=False)
    again = load_recipe(tmp_path / "run" / "recipe.toml")
    assert again == plan.recipe
    held_out = {pair.name for pair in plan.data.held_out.pairs}
    materials = prepare(again, folder.path, Silent())
    assert {pair.name for each in materials.validation for pair in each.dataset.pairs} == held_out


def test_the_budget_is_minutes_unless_steps_are_given(tmp_path):
    assert planned(tmp_path).recipe.schedule.minutes == 6
    assert planned(tmp_path, minutes=2).recipe.schedule.minutes == 2
    assert planned(tmp_path, steps=5).recipe.schedule.steps == 5
    assert planned(tmp_path, changes=["schedule.rate=0.25"]).recipe.schedule.rate == 0.25


def test_a_matte_stays_a_matte_and_more_classes_make_labels(tmp_path):
    write_squares(tmp_path / "data", subject=255)
    same = planned(tmp_path, "person", None)
    assert (same.recipe.task, same.members, same.recipe.outputs) == ("matte", None, 1)
    assert same.recipe.sets[0].layout == "binary"
    write_squares(tmp_path / "other" / "data")
    other = planned(tmp_path / "other", "person", "a,b,c")
    assert (other.recipe.task, other.members, other.recipe.outputs) == ("semantic", ((), (), ()), 3)


def test_a_bundle_that_says_nothing_of_its_network_fails(tmp_path, monkeypatch):
    bundle = load_bundle("street")
    monkeypatch.setattr("rtseg.train.finetune.load_bundle", lambda name: replace(bundle, training={}))
    with pytest.raises(ConfigError, match=r"got no \[training.network\] in its card; expected a bundle that rtseg"):
        planned(tmp_path)
    monkeypatch.setattr("rtseg.train.finetune.load_bundle", lambda name: replace(bundle, folder=tmp_path))
    with pytest.raises(ConfigError, match=r"got no weights.safetensors"):
        planned(tmp_path)


def test_scores_before_and_after_stand_side_by_side():
    text = before_and_after({"miou": 0.25}, {"miou": 0.75, "mad": 0.01})
    assert [line.split() for line in text.splitlines()[1:]] == [["miou", "0.2500", "0.7500"], ["mad", "–", "0.0100"]]
    assert "–" in before_and_after(None, {"miou": 0.5})


def test_a_card_holds_scores_that_are_numbers():
    found = card_scores({"mean": 0.5, "a/miou": 0.51234, "b/miou": float("nan")}, (64, 32))
    assert found["a_miou"] == 0.5123
    assert "b_miou" not in found
    assert "64x32" in found["protocol"]
    assert card_scores({"mean": 0.5}, (64, 32)) == {}
    json.dumps(found)
