"""The public surface: names, docstrings, README."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import rtseg

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""


def test_all_is_sorted_and_loads():
    assert list(rtseg.__all__) == sorted(rtseg.__all__)
    for name in rtseg.__all__:
        assert getattr(rtseg, name) is not None


def test_an_unknown_name_fails():
    with pytest.raises(AttributeError, match="no attribute 'segment_everything'"):
        _ = rtseg.segment_everything


@pytest.mark.parametrize("name", [n for n in rtseg.__all__ if n != "__version__"])
def test_everything_public_says_what_it_is(name):
    text = inspect.getdoc(getattr(rtseg, name)) or ""
    assert len(text) > 20


@pytest.mark.parametrize("mark", ["run", "test"])
def test_readme_commands_are_one_line_each(mark):
    found = re.search(rf"<!-- command: {mark} -->\n```\w*\n(.+?)\n```", README, flags=re.S)
    assert found is not None
    assert "\n" not in found.group(1)


def test_readme_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README) + re.findall(r'src="(?!https?:)([^"]+)"', README)
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert targets
    assert missing == []


def test_no_tracked_file_names_a_machine_path():
    bad = []
    for path in [*ROOT.glob("rtseg/**/*.py"), *ROOT.glob("engines/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        if re.search(r"[\"'](/root|/work|/home)/", path.read_text(encoding="utf-8")):
            bad.append(path.name)
    assert bad == []
