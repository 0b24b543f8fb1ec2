"""The keys of a window: every press of `e` changes what is seen, `m` brings the other model."""

from __future__ import annotations

import pytest

from rtseg.api import RunOptions, effects_for
from rtseg.cli.controls import EFFECTS_BY_TASK, KeyControls
from rtseg.segmenter import load


class SeenPipeline:
    """What the controls touch of a pipeline."""

    def __init__(self, segmenter):
        self.segmenter = segmenter
        self.effects = effects_for(segmenter.bundle, None, None)

    def switch_effects(self, effects):
        self.effects = tuple(effects)

    def switch_segmenter(self, segmenter, effects):
        self.segmenter, self.effects = segmenter, tuple(effects)


@pytest.mark.parametrize("name", ["street", "person"])
def test_every_press_of_the_effect_key_shows_another_effect(name):
    segmenter = load(name, backend="fake")
    pipeline = SeenPipeline(segmenter)
    count = len(EFFECTS_BY_TASK[segmenter.bundle.task])
    with KeyControls(segmenter, RunOptions()) as controls:
        seen = [pipeline.effects]
        for _ in range(count):
            controls.obey(pipeline, "effect")
            seen.append(pipeline.effects)
    assert len(set(seen)) == count
    assert seen[-1] == seen[0]  # all the way round


def test_the_model_key_goes_round_the_shipped_models():
    segmenter = load("street", backend="fake")
    pipeline = SeenPipeline(segmenter)
    with KeyControls(segmenter, RunOptions()) as controls:
        names = []
        for _ in range(2):
            controls.obey(pipeline, "model")
            names.append(pipeline.segmenter.bundle.name)
    assert names == ["person", "street"]
