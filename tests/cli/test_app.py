"""The verbs: all in the help, only the one that is asked for imported; what the real command sets for itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtseg.cli import app, main


def in_a_process(code, *arguments):
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    return ended.stdout


def test_the_help_names_every_verb(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in app.VERBS)


@pytest.mark.parametrize("words", [["nothing"], []])
def test_without_a_known_verb_all_are_known(words):
    command = app.app_for(words)
    assert {info.name for info in command.registered_commands} == set(app.VERBS)


def test_only_the_verb_that_is_asked_for_is_imported():
    code = """
import json, sys
from rtseg.cli import main
main(["run", "--help"])
print("MODULES", json.dumps(sorted(sys.modules)))
"""
    shown = in_a_process(code)
    assert "Usage: rtseg run" in shown
    modules = json.loads(shown.rpartition("MODULES")[2])
    assert "rtseg.cli.run" in modules
    assert not {"rtseg.cli.train", "rtseg.cli.bench", "numpy", "cv2", "av", "openvino"} & set(modules)


def test_the_command_keeps_numpy_from_spinning_threads_unless_told_otherwise(monkeypatch):
    code = (
        "import os, sys; sys.argv[1:] = ['--version']; from rtseg.cli import entry\ntry: entry()\nexcept SystemExit: "
    )
    code += "print('THREADS', os.environ['OPENBLAS_NUM_THREADS'])"
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert "THREADS 1" in in_a_process(code)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert "THREADS 3" in in_a_process(code)
