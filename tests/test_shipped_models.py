"""The shipped models on the built-in scenes: floors that a change of model, engine or scene must not break."""

from __future__ import annotations

import numpy as np
import pytest

import rtseg

FRAMES = 300
EVERY = 20


def confusion(pairs, count):
    total = np.zeros((count, count), np.int64)
    for truth, found in pairs:
        joint = truth.astype(np.int64).ravel() * count + found.ravel()
        total += np.bincount(joint, minlength=count * count).reshape(count, count)
    return total


def ious(total):
    """IoU of the classes that the truth has, pooled over all pixels."""
    inside = np.diag(total).astype(float)
    union = total.sum(0) + total.sum(1) - inside
    present = total.sum(1) > 0
    return inside[present] / union[present]


def pairs_on(scene, segmenter):
    """Truth and labels of every twentieth frame of the default scene, 960x540."""
    with rtseg.open_source(f"synthetic:{scene}", frame_count=FRAMES) as source:
        for frame in source.frames():
            if frame.frame_index % EVERY == 0:
                yield source.truth(frame.frame_index), segmenter(frame.rgb).labels


@pytest.mark.parametrize(("model", "scene", "floor"), [("street", "street", 0.80), ("person", "desk", 0.90)])
def test_the_shipped_models_segment_the_built_in_scenes(model, scene, floor):
    with rtseg.load(model) as segmenter:
        scores = ious(confusion(pairs_on(scene, segmenter), len(segmenter.classes)))
    score = scores.mean() if model == "street" else scores[1]
    assert score >= floor


def test_the_score_notices_a_shift_of_one_class():
    """Positive control: labels that are wrong everywhere score zero."""
    truth = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    assert ious(confusion([(truth, truth)], 3)).mean() == 1.0
    assert ious(confusion([(truth, (truth + 1) % 3)], 3)).mean() == 0.0
