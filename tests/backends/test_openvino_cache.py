"""The cache of compiled engines: what is kept is used, what is damaged or of another key is not."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace

import numpy as np
import pytest

from rtseg.backends import openvino, openvino_cache
from rtseg.backends.base import EngineRequest
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.backends.openvino_cache import MOST_ENGINES, EngineFolder, engine_key
from rtseg.backends.openvino_runtime import capabilities_of, openvino_core


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    place = tmp_path / "cache" / "openvino"
    monkeypatch.setattr(openvino_cache, "default_folder", lambda: place)
    return place


def labels_and_origin(network, picture, **request):
    with OpenVINOBackend() as backend:
        info = backend.load(EngineRequest(network, **{"precision": "fp32", "hint": "latency", **request}))
        return backend.infer(picture), info.reasons[-1]


def test_the_second_load_takes_the_engine_of_the_first_and_says_the_same(spec, picture, folder, monkeypatch):
    first, origin = labels_and_origin(spec("logits_nchw"), picture)
    assert origin == "Engine compiled, as there was none in the cache; kept in the cache."
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def no_graph(*_):
        raise AssertionError("the graph was built again")

    monkeypatch.setattr(openvino, "build_graph", no_graph)
    second, origin = labels_and_origin(spec("logits_nchw"), picture)
    assert origin == "Engine from the cache."
    np.testing.assert_array_equal(first.labels, second.labels)


def test_scores_and_streams_come_from_the_cache_too(spec, picture, folder):
    network = spec("logits_nchw", scale=1 / 255)
    found = [labels_and_origin(network, picture, with_scores=True, hint="throughput", threads=2) for _ in range(2)]
    assert [origin for _, origin in found][1] == "Engine from the cache."
    np.testing.assert_array_equal(found[0][0].scores, found[1][0].scores)


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "auto"},
        {"hint": "throughput"},
        {"threads": 1},
        {"with_scores": True},
        {"network": {"mean": (1.0, 0.0, 0.0)}},
        {"network": {"channel_order": "BGR"}},
    ],
)
def test_another_request_is_another_engine(spec, picture, folder, change):
    if "precision" in change and not capabilities_of(openvino_core()) & {"BF16", "FP16"}:
        pytest.skip("this CPU computes in fp32 only, which is what auto is then")
    facts = change.pop("network", {})
    labels_and_origin(spec("logits_nchw"), picture, threads=2)
    _, origin = labels_and_origin(spec("logits_nchw", **facts), picture, **{"threads": 2, **change})
    assert origin.startswith("Engine compiled")
    assert len(list(folder.iterdir())) == 2


def test_another_file_under_the_same_name_is_another_engine(spec, picture, folder, tmp_path):
    network = replace(spec("logits_nchw"), onnx_path=tmp_path / "model.onnx")
    network.onnx_path.write_bytes(spec("logits_nchw").onnx_path.read_bytes())
    labels_and_origin(network, picture)
    network.onnx_path.write_bytes(spec("alpha_any_size").onnx_path.read_bytes())
    alpha, origin = labels_and_origin(replace(network, output_kind="alpha", class_count=2, scale=1 / 255), picture)
    assert origin.startswith("Engine compiled")
    np.testing.assert_array_equal(alpha.alpha, picture[..., 0])


def test_a_change_of_the_runtime_the_cpu_or_the_graph_is_another_key(spec, monkeypatch):
    facts = {"runtime": "1", "device": "cpu", "native": frozenset({"BF16"}), "settings": {"a": 1}, "form": "mask"}
    keys = [
        engine_key(spec("logits_nchw"), **{**facts, **change})
        for change in (
            {},
            {"runtime": "2"},
            {"device": "cqu"},
            {"native": frozenset()},
            {"settings": {"a": 2}},
            {"form": "m"},
        )
    ]
    monkeypatch.setattr(openvino_cache, "_graph_digest", lambda: "other code")
    keys.append(engine_key(spec("logits_nchw"), **facts))
    assert len(set(keys)) == 7


@pytest.mark.parametrize("damage", ["cut", "edited", "emptied", "renamed"])
def test_a_damaged_engine_is_compiled_again_and_replaced(spec, picture, folder, damage):
    labels_and_origin(spec("logits_nchw"), picture)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    middle = len(whole) // 2
    broken = {
        "cut": whole[:middle],
        "edited": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "emptied": b"",
        "renamed": whole.replace(kept.stem.encode(), b"0" * 32, 1),
    }
    kept.write_bytes(broken[damage])
    output, origin = labels_and_origin(spec("logits_nchw"), picture)
    assert origin == "Engine compiled, as the one in the cache was damaged; kept in the cache."
    assert output.labels.shape == (16, 32)
    assert kept.read_bytes()[:60] == whole[:60]  # format and key
    assert labels_and_origin(spec("logits_nchw"), picture)[1] == "Engine from the cache."


def test_an_engine_that_openvino_refuses_is_compiled_again(spec, picture, folder):
    labels_and_origin(spec("logits_nchw"), picture)
    (kept,) = folder.iterdir()
    EngineFolder(folder).write(kept.stem, b"whole, but no engine")
    _, origin = labels_and_origin(spec("logits_nchw"), picture)
    assert "OpenVINO refused the one in the cache" in origin
    assert labels_and_origin(spec("logits_nchw"), picture)[1] == "Engine from the cache."


def test_without_a_place_to_write_the_engine_works_and_the_reason_is_told(spec, picture, folder):
    folder.parent.write_text("a file where the folder should be")
    output, origin = labels_and_origin(spec("logits_nchw"), picture)
    assert "not kept (" in origin
    assert output.labels.shape == (16, 32)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no users in its file modes")
def test_a_folder_open_to_others_is_closed_and_one_of_another_user_refused(folder, monkeypatch):
    folder.mkdir(parents=True, mode=0o755)
    engines = EngineFolder(folder)
    assert engines.write("a" * 32, b"engine") == "kept in the cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert engines.read("a" * 32) == (b"engine", "from the cache")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    blob, why = engines.read("a" * 32)
    assert blob is None
    assert "belongs to user" in why
    assert "belongs to user" in engines.write("a" * 32, b"mine")


def test_the_engines_unused_for_longest_go(folder):
    engines = EngineFolder(folder)
    for index in range(MOST_ENGINES + 3):
        engines.write(f"{index:032x}", b"engine")
        os.utime(folder / f"{index:032x}.engine", (1_000_000 + index, 1_000_000 + index))
    engines.read(f"{3:032x}")  # used now
    engines.write("f" * 32, b"engine")
    left = sorted(path.stem for path in folder.iterdir())
    assert len(left) == MOST_ENGINES
    assert {"f" * 32, f"{3:032x}"} <= set(left)
    assert f"{4:032x}" not in left


def test_several_at_once_leave_one_whole_engine(spec, picture, folder):
    origins = []
    threads = [
        threading.Thread(target=lambda: origins.append(labels_and_origin(spec("logits_nchw"), picture)[1]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(origins) == 4
    assert [path.suffix for path in folder.iterdir()] == [".engine"]
    assert labels_and_origin(spec("logits_nchw"), picture)[1] == "Engine from the cache."
