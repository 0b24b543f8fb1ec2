"""What is installed: the page is in the wheel, whole, and asks for nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "rtseg" / "serve" / "page"
FILES = sorted(file for file in PAGE.iterdir() if file.is_file())


def test_the_wheel_holds_the_page(tmp_path):
    script = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    (tmp_path / "source").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "rtseg"):
        (tmp_path / "source" / name).symlink_to(ROOT / name)
    (tmp_path / "source" / "engines").mkdir()
    (tmp_path / "source" / "engines" / "__init__.py").touch()  # the networks are not asked about here
    words = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path / "source", capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {f"rtseg/serve/page/{file.name}" for file in FILES} <= set(names)
    assert "rtseg/serve/page/index.html" in names


def test_every_file_that_is_named_is_there():
    named = set()
    for file in FILES:
        named |= set(re.findall(r"[\"'(](?:/page/|\./)([\w.-]+)[\"')]", file.read_text(encoding="utf-8")))
    assert {"app.js", "style.css", "api.js"} <= named
    assert named <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file):
    text = file.read_text(encoding="utf-8")
    addresses = [
        found for found in re.findall(r"https?://[^\s\"'`)<]+", text) if not found.startswith("http://www.w3.org/")
    ]
    assert [one for one in addresses if not one.startswith("http://127.0.0.1")] == []
    if file.suffix == ".html":
        assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)  # the policy of the server allows none


def test_the_page_is_small():
    assert sum(file.stat().st_size for file in FILES) < 200_000
