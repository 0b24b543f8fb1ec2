"""Every stage stays within its budget beside the bare engine; one that is slowed down does not."""

from __future__ import annotations

import time

import pytest

from benchmarks import budgets
from rtseg.render.compositor_cpu import CpuCompositor

pytestmark = pytest.mark.slow
ROUNDS = 2


@pytest.fixture(scope="module")
def engine():
    with budgets.load_engine(budgets.read_budgets()) as segmenter:
        yield segmenter


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return budgets.write_clip(budgets.read_budgets(), tmp_path_factory.mktemp("budgets") / "clip.mp4")


def measured(clip, engine, rounds=ROUNDS):
    return budgets.shares_of_bare(clip, engine, budgets.read_budgets().model["effect"], rounds)


def test_every_stage_stays_within_its_budget(clip, engine):
    most = budgets.read_budgets().most
    shares = measured(clip, engine)
    assert set(shares) == set(most)
    assert not budgets.over_budget(shares, most), shares


def test_a_compositor_that_is_slowed_down_breaks_its_budget_and_that_of_the_whole(clip, engine, monkeypatch):
    most = budgets.read_budgets().most
    engine_ms = budgets.core_ms(lambda: budgets.bare(engine, budgets.first_frames(clip, 1)[0]))
    composite = CpuCompositor.composite

    def slow(self, *args, **kw):
        until = time.thread_time() + 0.7e-3 * engine_ms  # CPU time, as any wasteful code would take
        while time.thread_time() < until:
            pass
        return composite(self, *args, **kw)

    monkeypatch.setattr(CpuCompositor, "composite", slow)
    broken = budgets.over_budget(measured(clip, engine, rounds=1), most)
    assert {line.partition(":")[0] for line in broken} == {"render", "pipeline"}, broken


def test_the_message_names_stage_share_and_budget():
    assert budgets.over_budget({"decode": 0.3, "render": 0.1}, {"decode": 0.2, "render": 0.1}) == [
        "decode: 0.300 of the engine, budget 0.2"
    ]
