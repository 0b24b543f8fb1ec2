"""`rtseg models`, `rtseg doctor`, `rtseg --version`."""

from __future__ import annotations

import json

import pytest

from rtseg.cli import main


def test_models_lists_what_ships(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "street" in shown
    assert "person" in shown


@pytest.mark.parametrize("name", ["street", "person"])
def test_a_card_shows_licence_training_and_scores(name, capsys):
    assert main(["models", name]) == 0
    shown = capsys.readouterr().out
    for word in ("licence", "training", "sources", "scores", "sha256", "limits"):
        assert word in shown


def test_cards_as_json(capsys):
    assert main(["models", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert {card["name"] for card in cards} >= {"street", "person"}


def test_an_unknown_model_names_the_nearest(capsys):
    assert main(["models", "strete"]) == 2
    assert "street" in capsys.readouterr().err


def test_doctor_says_what_works_and_what_mends_the_rest(capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "openvino" in shown
    assert "Everything needed is here." in shown


def test_doctor_shows_every_backend_what_is_missing_and_what_auto_would_take(capsys, monkeypatch):
    from rtseg.backends import device_facts
    from rtseg.cuda_device import CudaDevice

    monkeypatch.setattr(device_facts, "gpu_facts", lambda: None)
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "off      backend  tensorrt          got no NVIDIA GPU with a driver" in shown
    chosen = "openvino, the first of tensorrt, torch, openvino that works here."
    assert f"ok       backend  auto              {chosen}" in shown
    assert "planned" not in shown

    facts = device_facts.GpuFacts(CudaDevice("NVIDIA Fake", "8.9", "580.95"), (13, 0), 2**34)
    monkeypatch.setattr(device_facts, "gpu_facts", lambda: facts)
    monkeypatch.setattr("rtseg.backends.torch.gpu_facts", lambda: facts)
    for module in ("rtseg.backends.device_facts", "rtseg.backends.torch"):
        monkeypatch.setattr(f"{module}.torch_build", lambda: None)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.count("-> pip install 'rtseg[cuda]'") >= 2  # for tensorrt and for torch


def test_doctor_names_the_command_for_a_missing_package(capsys, monkeypatch):
    from rtseg.cli import checkup

    monkeypatch.setattr(checkup, "PACKAGES", {"numpy": "numpy", "no-such-package": "no_such_package"})
    assert main(["doctor"]) == 1
    assert "pip install no-such-package" in capsys.readouterr().out


def test_doctor_as_json(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert report["machine"]["cores"] >= 1


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rtseg ")
