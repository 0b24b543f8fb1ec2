"""What a run works on: optional sets that are not there are left out, and said so."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError
from rtseg.train.prepare import prepare
from rtseg.train.progress import Silent
from rtseg.train.pseudo import Teacher
from tests.train.tiny import CLASSES, tiny_recipe, write_squares

pytestmark = pytest.mark.needs_torch

TAXONOMY = 'classes = ["ground", "square"]\n'


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)


def one_set(folder, **more):
    (folder / "squares.toml").write_text(TAXONOMY)
    return {"name": folder.name, "path": str(folder), "taxonomy": str(folder / "squares.toml"), **more}


@pytest.mark.parametrize("absent", ["nowhere", "${RTSEG_NO_SUCH_FOLDER}/set"])
def test_an_optional_set_that_is_not_there_is_left_out(tmp_path, absent):
    here = one_set(write_squares(tmp_path / "here"))
    gone = {"name": "gone", "path": absent, "taxonomy": here["taxonomy"], "optional": True}
    listener = Notes()
    recipe = tiny_recipe(tmp_path, set=[here, gone], classes={"names": CLASSES}, validation={})
    materials = prepare(recipe, tmp_path, listener)
    assert f"set gone: left out, {absent} is not there" in listener.notes
    assert materials.sources[0].draw(0, (32, 32)).rgb.shape == (32, 32, 3)


@pytest.mark.parametrize("optional", [True, False])
def test_no_set_at_all_is_an_error(tmp_path, optional):
    gone = {"name": "gone", "path": "nowhere", "labelled": False, "optional": optional}
    expected = "got none that is there" if optional else "does not exist"
    with pytest.raises(ConfigError, match=expected):
        prepare(tiny_recipe(tmp_path, set=[gone], validation={}), tmp_path, Notes())


def distilling(folder, **changes):
    here = one_set(write_squares(folder / "here"))
    return {"set": [here], "classes": {"names": CLASSES}, "validation": {}, "loss": {"distil": 1.0}, **changes}


def half_and_half(settings):
    def probabilities(rgb):
        return np.full((2, *rgb.shape[:2]), 0.5, np.float32)

    return Teacher("t", tuple(CLASSES), probabilities)


def test_samples_of_a_distilled_set_carry_the_teachers_probabilities(tmp_path):
    distil = {"bundles": ["t.onnx"], "sets": ["here"]}
    recipe = tiny_recipe(tmp_path, **distilling(tmp_path, distil=distil))
    sample = prepare(recipe, tmp_path, Notes(), make_teacher=half_and_half).sources[0].draw(0, (32, 32))
    assert sample.soft.shape == (2, 16, 16)
    assert sample.soft.max() == 128
    with pytest.raises(ConfigError, match="none can be loaded"):
        prepare(recipe, tmp_path, Notes())


def test_a_distilled_set_must_be_one_of_the_recipe(tmp_path):
    distil = {"bundles": ["t.onnx"], "sets": ["nowhere"]}
    recipe = tiny_recipe(tmp_path, **distilling(tmp_path, distil=distil))
    with pytest.raises(ConfigError, match=r"distil.sets.*nowhere"):
        prepare(recipe, tmp_path, Notes(), make_teacher=half_and_half)
