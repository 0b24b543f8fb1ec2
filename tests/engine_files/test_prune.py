"""What goes when the cache is pruned, and what stays."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from rtseg.engine_files.cache import MANIFEST_NAME, PLAN_NAME, EngineCache
from rtseg.engine_files.prune import DAY_SECONDS, prunable, remove_all
from rtseg.tensorrt_flavour import Flavour
from tests.engine_files.parts import key, store

FLAVOUR = Flavour("tensorrt_rtx", "1.7.1", SimpleNamespace(), "test")
NOW = time.time()


@pytest.fixture
def cache(tmp_path) -> EngineCache:
    """Three engines, not used for 1, 10 and 100 days."""
    cache = EngineCache(tmp_path)
    for precision, days in (("fp16", 1), ("int8", 10), ("fp32", 100)):
        engine = store(cache, key(precision=precision))
        used = NOW - days * DAY_SECONDS
        os.utime(engine.folder / PLAN_NAME, (used, used))
    return cache


def chosen(cache, **options):
    found = prunable(cache.entries(), options.pop("flavour", FLAVOUR), now=NOW, **options)
    return [entry.manifest.key.precision if entry.manifest else "broken" for entry, _ in found]


def test_the_latest_used_comes_first(cache):
    assert [entry.manifest.key.precision for entry in cache.entries()] == ["fp16", "int8", "fp32"]


def test_what_is_fine_stays(cache):
    assert chosen(cache) == []


def test_by_age(cache):
    assert chosen(cache, older_than_days=5) == ["int8", "fp32"]
    cache.lookup(key(precision="fp32")).engine.mark_used()
    assert chosen(cache, older_than_days=5) == ["int8"]


def test_by_size_the_latest_used_stay(cache):
    one = cache.entries()[0].total_bytes
    assert chosen(cache, keep_bytes=int(1.5 * one)) == ["int8", "fp32"]
    assert chosen(cache, keep_bytes=0) == ["fp16", "int8", "fp32"]
    assert chosen(cache, keep_bytes=10 * one) == []


def test_of_another_version(cache):
    store(cache, key(flavour_version="1.6"))
    assert chosen(cache) == ["fp16"]
    assert "1.6, which is not in use here" in prunable(cache.entries(), FLAVOUR, now=NOW)[0][1]
    assert chosen(cache, flavour=None) == []
    store(cache, key(graph_revision=0))
    assert "another rtseg" in prunable(cache.entries(), None, now=NOW)[0][1]


def test_broken_ones_and_all(cache):
    (cache.folder / key().digest / MANIFEST_NAME).write_text("{}")
    assert chosen(cache) == ["broken"]
    assert len(chosen(cache, every=True)) == 3
    gone, busy = remove_all(cache, prunable(cache.entries(), None, every=True))
    assert (len(gone), busy) == (3, [])
    assert [path.name for path in cache.folder.iterdir()] == [".seal"]


def test_one_that_is_being_built_is_left(cache):
    with cache.exclusive(key()):
        gone, busy = remove_all(cache, prunable(cache.entries(), None, every=True))
    assert (len(gone), len(busy)) == (2, 1)
    assert cache.lookup(key()).engine is not None
