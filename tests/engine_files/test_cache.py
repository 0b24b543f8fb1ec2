"""The cache gives an engine exactly when it is whole, its own and the user's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from rtseg.engine_files import cache as cache_module
from rtseg.engine_files.cache import MANIFEST_NAME, PLAN_NAME, RUNTIME_CACHE_NAME, EngineCache, default_folder
from rtseg.engine_files.manifest import EngineManifest
from rtseg.errors import EngineError
from tests.engine_files.parts import GPU, OTHER_GPU, PLAN, key, manifest, on_gpu, proof, store


@pytest.fixture
def cache(tmp_path) -> EngineCache:
    return EngineCache(tmp_path / "rtseg" / "engines")


def names(cache):
    return sorted(path.name for path in cache.folder.iterdir())


def test_what_was_stored_is_found(cache):
    stored = store(cache)
    found = cache.lookup(key())
    assert found.engine is not None
    assert found.engine.read_plan() == PLAN
    assert found.engine.manifest == stored.manifest
    assert found.engine.manifest.plan_bytes == len(PLAN)
    assert "built 2026-01-02" in found.reason
    assert names(cache) == [".seal", key().digest]


def test_the_manifest_survives_json():
    full = manifest(
        proofs=(proof(), proof(OTHER_GPU, accepted=False)), warnings=("odd",), runtime_cache_sha256="0" * 64
    )
    assert EngineManifest.from_json(json.loads(json.dumps(full.to_json()))) == full


@pytest.mark.parametrize(
    ("wanted", "telling"),
    [
        (key(model="desk", model_sha256="b" * 64), "no engine of desk in the cache yet"),
        (key(precision="int8"), "precision int8, not fp16"),
        (key(size_wh=(512, 256)), "size 512x256, not 640x320"),
        (key(model_sha256="b" * 64), "model file changed"),
        (key(flavour_version="1.8"), "backend version 1.8, not 1.7.1"),
        (key(batch=2, form="bytes"), "batch 2, not 1; form bytes, not planes"),
    ],
)
def test_a_miss_names_its_reason_in_one_line(cache, wanted, telling):
    store(cache)
    found = cache.lookup(wanted)
    assert found.engine is None
    assert telling in found.reason
    assert "\n" not in found.reason


def test_the_nearest_engine_is_told_of(cache):
    store(cache, key(precision="fp32", batch=4))
    store(cache, key(precision="int8"))
    assert cache.lookup(key()).reason == "no engine of street with precision fp16, not int8"


def test_one_built_ahead_serves_any_gpu_but_one_for_a_gpu_only_that(cache):
    store(cache)
    assert cache.lookup(on_gpu()).engine is not None
    store(cache, on_gpu(precision="int8"))
    assert cache.lookup(on_gpu(precision="int8")).engine is not None
    missed = cache.lookup(on_gpu(OTHER_GPU, precision="int8"))
    assert missed.engine is None
    assert "GPU NVIDIA Other, not NVIDIA Test" in missed.reason
    assert cache.lookup(on_gpu(replace(GPU, driver="590"), precision="int8")).reason.endswith(
        "driver 590, not 580.65.06"
    )


def truncate(folder):
    path = folder / PLAN_NAME
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder):
    path = folder / PLAN_NAME
    plan = bytearray(path.read_bytes())
    plan[1000] ^= 1
    path.write_bytes(plan)


def edit(folder):
    """Mark it as proved by hand."""
    path = folder / MANIFEST_NAME
    facts = json.loads(path.read_text())
    facts["proofs"] = [{"device": {"name": "x", "compute_capability": "1", "driver": "1"}, "accepted": True,
                        "verdict": "", "report": {}, "date": ""}]  # fmt: skip
    path.write_text(json.dumps(facts))


def unseal(folder):
    path = folder / MANIFEST_NAME
    facts = json.loads(path.read_text())
    del facts["seal"]
    path.write_text(json.dumps(facts))


def empty(folder):
    (folder / MANIFEST_NAME).write_text("")


def remove_plan(folder):
    (folder / PLAN_NAME).unlink()


@pytest.mark.parametrize(
    ("damage", "telling"),
    [
        (truncate, f"got a plan of {len(PLAN) - 1} bytes"),
        (flip, "is not the one that was built"),
        (edit, "broken seal"),
        (unseal, "KeyError"),
        (empty, "expected one of this version"),
        (remove_plan, "No such file"),
    ],
)
def test_a_damaged_engine_is_refused_and_replaced(cache, damage, telling):
    stored = store(cache)
    damage(stored.folder)
    found = cache.lookup(key())
    assert found.engine is None
    assert telling in found.reason
    store(cache)
    assert cache.lookup(key()).engine is not None
    assert names(cache) == [".seal", key().digest]


def test_a_plan_that_changes_after_the_lookup_is_not_given_out(cache):
    store(cache)
    engine = cache.lookup(key()).engine
    flip(engine.folder)
    with pytest.raises(EngineError, match="Build it again"):
        engine.read_plan()


def test_an_engine_from_elsewhere_is_refused(cache, tmp_path):
    other = EngineCache(tmp_path / "other")
    foreign = store(other)
    store(cache, key(precision="int8"))
    foreign.folder.rename(cache.folder / key().digest)
    assert "broken seal" in cache.lookup(key()).reason


def test_an_engine_under_another_name_is_refused(cache):
    stored = store(cache, key(precision="int8"))
    stored.folder.rename(cache.folder / key().digest)
    assert "another key (precision fp16, not int8)" in cache.lookup(key()).reason
    (entry,) = cache.entries()
    assert "another key" in entry.fault


def test_without_the_seal_an_edited_manifest_would_pass(cache, monkeypatch):
    """Positive control: it is the seal that notices."""
    monkeypatch.setattr("rtseg.engine_files.manifest.hmac.compare_digest", lambda *_: True)
    edit(store(cache).folder)
    assert len(cache.lookup(key()).engine.manifest.proofs) == 1


def test_proofs_are_kept_for_each_device(cache):
    engine = store(cache)
    assert engine.manifest.state_on(GPU) == "unproved"
    engine = engine.add_proof(proof(accepted=False)).add_proof(proof(OTHER_GPU))
    assert cache.lookup(key()).engine.manifest == engine.manifest
    assert (engine.manifest.state_on(GPU), engine.manifest.state_on(OTHER_GPU)) == ("refused", "proved")
    assert engine.add_proof(proof()).manifest.state_on(GPU) == "proved"
    assert engine.manifest.state_on(replace(GPU, driver="590")) == "unproved"


def test_compiled_kernels_lie_beside_the_engine(cache):
    engine = store(cache)
    assert engine.read_runtime_cache() is None
    looked_up_before = cache.lookup(key()).engine
    engine.write_runtime_cache(b"kernels")
    assert looked_up_before.read_runtime_cache() == b"kernels"
    assert cache.lookup(key()).engine.read_plan() == PLAN
    (engine.folder / RUNTIME_CACHE_NAME).write_bytes(b"others")
    assert engine.read_runtime_cache() is None


def test_changes_do_not_undo_each_other(cache):
    """Two users of one engine: what the second writes keeps what the first has written."""
    first = store(cache)
    second = cache.lookup(key()).engine
    first.write_runtime_cache(b"kernels")
    both = second.add_proof(proof())
    assert both.read_runtime_cache() == b"kernels"
    assert both.manifest.state_on(GPU) == "proved"


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_nobody_else_may_read_or_write(cache):
    engine = store(cache)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(engine.folder.stat().st_mode) == 0o700
    files = [*engine.folder.iterdir(), cache.folder / ".seal"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    cache.folder.chmod(0o777)
    assert cache.lookup(key()).engine is not None
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="POSIX users")
def test_the_folder_of_another_user_is_refused(cache, monkeypatch):
    store(cache)
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: os.getuid() + 1)
    assert "expected your own" in cache.lookup(key()).reason
    with pytest.raises(EngineError, match="XDG_CACHE_HOME"), cache.exclusive(key()):
        pass


def test_the_environment_moves_it(monkeypatch, tmp_path):
    if sys.platform != "linux":
        pytest.skip("XDG_CACHE_HOME is for Linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "rtseg" / "engines"


def test_a_failed_write_leaves_nothing(cache, monkeypatch):
    store(cache, key(precision="int8"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_write_private", full)
    with pytest.raises(EngineError, match="No space left"), cache.exclusive(key()):
        cache.store(manifest(), PLAN)
    assert names(cache) == [".seal", key(precision="int8").digest]


KILLED = """
import os, pathlib, signal, sys
from rtseg.engine_files import cache as module
from tests.engine_files.parts import PLAN, key, manifest
cache = module.EngineCache(pathlib.Path(sys.argv[1]))
write = module._write_private
def die(path, content):
    write(path, content)
    if path.name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
module._write_private = die
with cache.exclusive(key()):
    cache.store(manifest(), PLAN)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("at", [PLAN_NAME, MANIFEST_NAME])
def test_what_a_killed_writer_leaves_is_swept(cache, at):
    store(cache, key(precision="int8"))
    done = subprocess.run([sys.executable, "-c", KILLED, str(cache.folder), at], timeout=60)
    assert done.returncode == -9
    assert any(name.startswith(".part-") for name in names(cache))  # control: something was left
    assert cache.lookup(key()).engine is None
    assert len(cache.entries()) == 1
    assert cache.sweep() > 0
    assert names(cache) == [".seal", key(precision="int8").digest]


def test_sweeping_leaves_those_alone_who_are_at_work(cache):
    with cache.exclusive(key()):
        part = cache.folder / f".part-{key().digest}-busy"
        part.mkdir()
        assert cache.sweep() == 0
        assert part.is_dir()
        assert not cache.remove(key().digest)
    assert cache.sweep() > 0
    assert not part.exists()
