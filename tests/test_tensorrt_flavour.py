"""Whichever flavour can be imported, the data-centre one first; never a bare ImportError."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from rtseg.errors import BackendUnavailable
from rtseg.tensorrt_flavour import load_flavour


@pytest.fixture(autouse=True)
def _fresh():
    load_flavour.cache_clear()
    yield
    load_flavour.cache_clear()


def test_the_data_centre_flavour_comes_first(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.13"))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", SimpleNamespace(__version__="1.7"))
    found = load_flavour()
    assert str(found) == "tensorrt 10.13"
    assert not found.builds_without_gpu


def test_the_other_one_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", SimpleNamespace(__version__="1.7"))
    found = load_flavour()
    assert found.name == "tensorrt_rtx"
    assert found.builds_without_gpu
    assert "as tensorrt:" in found.reason


def test_none_is_one_line_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(BackendUnavailable, match=r"tensorrt: .*tensorrt_rtx: .*Run: pip install"):
        load_flavour()
