"""Choosing a backend: nothing silent, and a remedy for what does not work."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from rtseg.backends import registry
from rtseg.backends.fake import FakeBackend
from rtseg.backends.openvino import OpenVINOBackend
from rtseg.errors import BackendUnavailable, ConfigError


def test_auto_takes_openvino_and_says_so():
    backend, reasons = registry.create_backend()
    assert isinstance(backend, OpenVINOBackend)
    assert reasons == ("openvino, the first of openvino that works here.",)


def test_auto_without_openvino_gives_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match="pip install"):
        registry.create_backend()


@pytest.mark.parametrize("name", ["tensorrt", "torch"])
def test_planned_backends_are_known_and_refused(name):
    with pytest.raises(BackendUnavailable, match="planned for a later version"):
        registry.create_backend(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"got 'onnxruntime'; expected one of auto, openvino, fake, tensorrt, torch"):
        registry.create_backend("onnxruntime")


def test_the_report_has_every_backend_and_the_mending_command(monkeypatch):
    report = {status.name: status for status in registry.backend_report()}
    assert report["openvino"].works
    assert "OpenVINO" in report["openvino"].detail
    assert not report["tensorrt"].works
    assert "fake" not in report
    monkeypatch.setitem(sys.modules, "openvino", None)
    broken = {status.name: status for status in registry.backend_report()}["openvino"]
    assert not broken.works
    assert broken.remedy == "pip install 'openvino>=2026.0'"


def plug_in(monkeypatch, value):
    points = [EntryPoint("extra", value, registry.PLUGIN_GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.PLUGIN_GROUP else [])


def test_a_plug_in_is_found_by_name_only(monkeypatch):
    plug_in(monkeypatch, "rtseg.backends.fake:FakeBackend")
    assert isinstance(registry.create_backend("extra")[0], FakeBackend)
    assert isinstance(registry.create_backend("auto")[0], OpenVINOBackend)


@pytest.mark.parametrize("value", ["absent_package:Backend", "rtseg.backends.fake:Absent", "rtseg.backends.fake:time"])
def test_a_broken_plug_in_says_why(monkeypatch, value):
    plug_in(monkeypatch, value)
    with pytest.raises(BackendUnavailable, match="backend extra"):
        registry.create_backend("extra")
    assert not {status.name: status for status in registry.backend_report()}["extra"].works
