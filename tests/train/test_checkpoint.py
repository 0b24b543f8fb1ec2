"""Checkpoints: whole or not at all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("safetensors", reason="training needs the extra `train`")

from rtseg.errors import TrainingError  # noqa: E402
from rtseg.train.checkpoint import (  # noqa: E402
    LAST_NAME,
    PREVIOUS_NAME,
    has_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

pytestmark = pytest.mark.needs_torch


class State:
    """A network, its average and an optimiser that has moved it."""

    def __init__(self, channels: int = 4) -> None:
        self.network = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 3), torch.nn.BatchNorm2d(channels))
        self.network = self.network.to(memory_format=torch.channels_last)
        self.average = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 3), torch.nn.BatchNorm2d(channels))
        self.optimiser = torch.optim.AdamW(self.network.parameters())

    def move(self) -> None:
        self.optimiser.zero_grad()
        self.network(torch.randn(2, 3, 6, 6)).square().mean().backward()
        self.optimiser.step()

    def write(self, folder, step) -> None:
        write_checkpoint(folder, self.network, self.average, self.optimiser, {"step": step, "best": None})

    def read(self, folder) -> dict:
        return read_checkpoint(folder, self.network, self.average, self.optimiser)


@pytest.fixture
def state():
    torch.manual_seed(0)
    made = State()
    made.move()
    return made


def test_everything_comes_back_in_the_same_memory_order(state, tmp_path):
    state.write(tmp_path, 7)
    other = State()
    assert other.read(tmp_path) == {"step": 7, "best": None}
    for mine, theirs in ((state.network, other.network), (state.average, other.average)):
        assert all(
            torch.equal(a, b) for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        )
    moments = [s.optimiser.state[s.network[0].weight]["exp_avg"] for s in (state, other)]
    assert torch.equal(*moments)
    assert moments[0].stride() == moments[1].stride() == state.network[0].weight.stride()


def test_a_broken_last_file_falls_back_to_the_one_before(state, tmp_path):
    state.write(tmp_path, 1)
    state.write(tmp_path, 2)
    whole = (tmp_path / LAST_NAME).read_bytes()
    assert State().read(tmp_path)["step"] == 2
    (tmp_path / LAST_NAME).write_bytes(whole[: len(whole) // 2])
    assert State().read(tmp_path)["step"] == 1
    (tmp_path / PREVIOUS_NAME).write_bytes(b"")
    with pytest.raises(TrainingError, match=r"expected last\.safetensors of a run"):
        State().read(tmp_path)


def test_a_write_that_dies_leaves_the_old_checkpoint(state, tmp_path, monkeypatch):
    state.write(tmp_path, 1)

    def dies(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", dies)
    with pytest.raises(TrainingError, match="No space left on device"):
        state.write(tmp_path, 2)
    assert State().read(tmp_path)["step"] == 1


def test_no_file_holds_a_pickle(state, tmp_path):
    assert not has_checkpoint(tmp_path)
    state.write(tmp_path, 1)
    assert has_checkpoint(tmp_path)
    content = (tmp_path / LAST_NAME).read_bytes()
    assert content[8:9] == b"{"  # the header of safetensors is JSON
    assert b"pickle" not in content
    assert not content.startswith(b"PK")


def test_weights_of_another_network_fail(state, tmp_path):
    state.write(tmp_path, 1)
    with pytest.raises(TrainingError, match="got weights of another network"):
        State(channels=5).read(tmp_path)
