"""The OpenVINO backend on tiny networks whose right answer numpy knows."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from rtseg.backends.base import EngineRequest
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.backends.openvino_runtime import first_line
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, InferenceError


def logits_of(picture):
    """What the committed networks compute at scale 1: red, green, blue, green again."""
    planes = picture.astype(np.float32)
    return np.stack([planes[..., 0], planes[..., 1], planes[..., 2], planes[..., 1]])


def loaded(network, **request):
    backend = OpenVINOBackend()
    backend.load(EngineRequest(network, **{"precision": "fp32", "hint": "latency", **request}))
    return backend


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("logits_nchw", {}),
        ("logits_nhwc", {"output_layout": "NHWC"}),
        ("labels_int64", {"output_kind": "labels"}),
        ("probability_4", {"output_kind": "probability", "scale": 1 / 255}),
    ],
)
def test_labels_are_the_first_of_the_largest_planes(spec, picture, name, facts):
    with loaded(spec(name, **facts)) as backend:
        labels = backend.infer(picture).labels
    expected = logits_of(picture).argmax(axis=0)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, expected)
    assert (labels == 1).any()
    assert not (labels == 3).any()  # 3 always ties with 1


def test_ties_go_to_the_lowest_class_in_the_cpus_own_precision(spec, picture):
    with loaded(spec("logits_nchw"), precision="auto") as backend:
        np.testing.assert_array_equal(backend.infer(picture).labels, logits_of(picture).argmax(axis=0))


def test_alpha_is_rounded_to_the_nearest_byte(spec, picture):
    with loaded(spec("alpha_nhwc", layout="NHWC", output_layout="NHWC", output_kind="alpha", scale=1 / 255)) as b:
        np.testing.assert_array_equal(b.infer(picture).alpha, picture[..., 0])


def test_alpha_outside_zero_to_one_is_clipped(spec, picture):
    facts = {"output_kind": "alpha", "class_count": 2, "scale": 1 / 255, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    with loaded(spec("alpha_any_size", **facts)) as backend:
        alpha = backend.infer(picture).alpha
    expected = np.clip((picture[..., 0] / 255 - 0.5) / 0.25, 0, 1) * 255
    assert {0, 255} < set(np.unique(alpha).tolist())
    np.testing.assert_allclose(alpha, expected, atol=0.51)


def test_bgr_networks_get_blue_first_with_means_in_their_own_order(spec, picture):
    facts = {
        "output_kind": "alpha",
        "class_count": 2,
        "channel_order": "BGR",
        "mean": (30.0, 0, 0),
        "std": (200.0, 1, 1),
    }
    with loaded(spec("alpha_any_size", **facts)) as backend:
        alpha = backend.infer(picture).alpha
    expected = np.clip((picture[..., 2].astype(np.float32) - 30) / 200, 0, 1) * 255
    np.testing.assert_allclose(alpha, expected, atol=0.51)


def test_of_two_probability_planes_the_last_is_the_person(spec, picture):
    facts = {"output_kind": "probability", "class_count": 2, "scale": 1 / 255}
    with loaded(spec("probability_2", **facts)) as backend:
        np.testing.assert_array_equal(backend.infer(picture).alpha, picture[..., 1])


@pytest.mark.parametrize(("name", "kind"), [("logits_nchw", "logits"), ("probability_4", "probability")])
def test_scores_are_the_winners_probability(spec, picture, name, kind):
    with loaded(spec(name, scale=1 / 255, output_kind=kind), with_scores=True) as backend:
        output = backend.infer(picture)
    shares = np.exp(logits_of(picture) / 255)
    np.testing.assert_allclose(output.scores, (shares / shares.sum(axis=0)).max(axis=0), atol=1e-5)
    assert output.scores.dtype == np.float32


def test_results_are_the_callers_own_and_belong_to_their_picture(spec):
    with loaded(
        spec("alpha_any_size", output_kind="alpha", class_count=2, scale=1 / 255), hint="throughput"
    ) as backend:
        count = backend.info.in_flight
        assert count >= 2
        pictures = [np.full((16, 32, 3), 10 * (n + 1), np.uint8) for n in range(12)]
        pending, outputs = [], []
        for one in pictures:
            if len(pending) == count:
                outputs.append(pending.pop(0).result().alpha)
            changed = one.copy()
            pending.append(backend.submit(changed))
            changed[:] = 255  # may be changed once submit returned
        outputs += [p.result().alpha for p in pending]
        for one, alpha in zip(pictures, outputs, strict=True):
            assert (alpha == one[0, 0, 0]).all()


def test_too_many_in_flight_and_a_second_result_fail(spec, picture):
    with loaded(spec("logits_nchw")) as backend:
        pending = backend.submit(picture)
        with pytest.raises(InferenceError, match="at most that many"):
            backend.submit(picture)
        pending.result()
        with pytest.raises(InferenceError, match="twice"):
            pending.result()
        backend.infer(picture)  # the place is free again


def test_results_may_be_collected_by_other_threads(spec, picture):
    with loaded(spec("logits_nchw"), hint="throughput") as backend:
        expected, found = logits_of(picture).argmax(axis=0), []
        for _ in range(20):
            pending = backend.submit(picture)
            thread = threading.Thread(target=lambda p=pending: found.append(p.result().labels))
            thread.start()
            thread.join()
        assert len(found) == 20
        assert all((labels == expected).all() for labels in found)


def test_wrong_pictures_and_use_after_close_fail(spec, picture):
    backend = loaded(spec("logits_nchw"))
    with pytest.raises(InferenceError, match=r"expected \(16, 32, 3\) uint8"):
        backend.submit(picture[:8])
    backend.submit(picture)
    backend.close()
    backend.close()
    with pytest.raises(InferenceError, match="after close"):
        backend.submit(picture)


@pytest.mark.parametrize(
    ("name", "facts", "message"),
    [
        ("logits_nchw", {"class_count": 19}, r"got output \[1, 4, 16, 32\]; expected NCHW with 19 planes"),
        ("logits_nchw", {"output_kind": "alpha", "class_count": 2}, "with 1 or 2 planes"),
        ("logits_nchw", {"output_name": "absent"}, "no output 'absent'"),
    ],
)
def test_a_network_of_another_shape_than_its_facts_is_refused(spec, name, facts, message):
    with pytest.raises(EngineError, match=message):
        loaded(spec(name, **facts))


def test_a_file_that_openvino_cannot_read_is_one_line(spec, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x08" + b"nonsense" * 20)
    network = replace(spec("logits_nchw"), onnx_path=tmp_path / "bad.onnx")
    with pytest.raises(EngineError, match=r"bad\.onnx") as failure:
        loaded(network)
    assert "\n" not in str(failure.value)


def test_the_precision_is_what_the_cpu_does_or_what_was_asked(spec):
    with loaded(spec("logits_nchw"), precision="fp32") as backend:
        assert backend.info.precision == "fp32"
        assert backend.info.reasons[0] == "fp32, as asked."
    with loaded(spec("logits_nchw"), precision="auto") as backend:
        assert backend.info.precision in ("bf16", "fp16", "fp32")
        assert "CPU" in backend.info.reasons[0]


def test_a_quantised_file_has_its_other_layers_in_the_smallest_native_format(spec):
    with loaded(spec("logits_nchw"), precision="auto") as backend:
        smallest = backend.info.precision
    with loaded(spec("logits_nchw"), precision="int8") as backend:
        assert backend.info.precision == "int8"
        assert backend.info.reasons[0] == f"int8, as asked, with the layers that are not quantised in {smallest}."


def test_a_precision_the_cpu_lacks_is_refused(spec, monkeypatch):
    monkeypatch.setattr("rtseg.backends.openvino.capabilities_of", lambda core: frozenset({"FP32", "INT8"}))
    with pytest.raises(ConfigError, match="got bf16; expected fp32"):
        loaded(spec("logits_nchw"), precision="bf16")


def test_without_openvino_the_command_that_mends_it_is_named(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'openvino>=2026\.0'"):
        loaded(spec("logits_nchw"))


def test_the_telling_line_of_a_long_message_is_kept():
    message = "Exception from src/inference/src/core.cpp:93:\nCheck 'x' failed at y:1:\nUnsupported operation Foo\n\n"
    assert first_line(RuntimeError(message)) == "Unsupported operation Foo"
