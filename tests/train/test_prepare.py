"""What a run works on: optional sets that are not there are left out, and said so."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs the extra `train`")

from rtseg.errors import ConfigError
from rtseg.train.prepare import prepare
from rtseg.train.progress import Silent
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
