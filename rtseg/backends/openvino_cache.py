"""Compiled engines in the user's cache, so that the second start takes a quarter of the time of the first.

Note [Engine key]
    An engine is found by a digest of all it depends on: the bytes of the model file, the network's facts, OpenVINO's
    build, the CPU and what it does natively, the compile settings, and rtseg's own graph code. A change of any of them
    is another key, so nothing ever has to be invalidated. The file names its key and its digest in its first line; one
    that is cut short, edited or of another key is compiled again, and so is one that OpenVINO refuses.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

from rtseg.backends import openvino_graph, openvino_upsampling
from rtseg.errors import EngineError
from rtseg.network import NetworkSpec

FORMAT: Final = "rtseg openvino engine 1"
SUFFIX: Final = ".engine"
MOST_ENGINES: Final = 24
"""Beyond so many, the engines that were used longest ago go."""
_PRIVATE: Final = 0o700


def default_folder() -> Path:
    """Return where the user's compiled engines are; XDG_CACHE_HOME moves it."""
    from platformdirs import user_cache_path

    return user_cache_path("rtseg", appauthor=False) / "openvino"


def engine_key(
    network: NetworkSpec, *, runtime: str, device: str, native: frozenset[str], settings: Mapping[str, Any], form: str
) -> str:
    """Return the digest of everything an engine depends on, 32 hexadecimal digits. See Note [Engine key].

    Args:
        network: with the file that is compiled.
        runtime: OpenVINO's build.
        device: name of the CPU.
        native: the arithmetic it does natively.
        settings: compile properties.
        form: which results the graph has.

    Raises:
        EngineError: the model file cannot be read.
    """
    facts = {name: fact for name, fact in asdict(network).items() if name != "onnx_path"}
    parts = {
        "format": FORMAT,
        "graph": _graph_digest(),
        "model": _model_digest(network.onnx_path),
        "network": facts,
        "runtime": runtime,
        "device": device,
        "native": sorted(native),
        "settings": {name: str(value) for name, value in settings.items()},
        "form": form,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class EngineFolder:
    """The compiled engines of one user. Several processes may use it at once: files are replaced whole.

    Args:
        folder: where; None: in the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def read(self, key: str) -> tuple[bytes | None, str]:
        """Return the engine of a key, or None, and in either case the reason in a few words."""
        path = self._path(key)
        try:
            self._check_private()
            content = path.read_bytes()
        except FileNotFoundError:
            return None, "there was none in the cache"
        except (OSError, PermissionError) as error:
            return None, f"the cache could not be read ({_why(error)})"
        head, _, blob = content.partition(b"\n")
        if head != _head(key, blob):
            return None, "the one in the cache was damaged"
        with suppress(OSError):
            os.utime(path)
        return blob, "from the cache"

    def write(self, key: str, blob: bytes) -> str:
        """Keep an engine and drop the ones unused for longest; return what became of it, in a few words."""
        try:
            self.folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            self._check_private()
            self._replace(key, blob)
            self._prune()
        except OSError as error:
            return f"not kept ({_why(error)})"
        return "kept in the cache"

    def _replace(self, key: str, blob: bytes) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".part-", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_head(key, blob) + b"\n" + blob)
            Path(name).replace(self._path(key))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _prune(self) -> None:
        engines = sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in engines[MOST_ENGINES:]:
            path.unlink(missing_ok=True)

    def _check_private(self) -> None:
        """Close the folder to other users. Raises PermissionError where it belongs to one: engines are code."""
        if not hasattr(os, "geteuid"):  # Windows: the user's own folders are private there
            return
        facts = self.folder.stat()
        if facts.st_uid != os.geteuid():
            raise PermissionError(None, f"{self.folder} belongs to user {facts.st_uid}")
        if stat.S_IMODE(facts.st_mode) != _PRIVATE:
            self.folder.chmod(_PRIVATE)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def _head(key: str, blob: bytes) -> bytes:
    return json.dumps({"format": FORMAT, "key": key, "sha256": hashlib.sha256(blob).hexdigest()}).encode()


def _why(error: OSError) -> str:
    return error.strerror or str(error)


@cache
def _graph_digest() -> str:
    """Return a digest of the code that builds the graph, so that a change to it needs no version to be counted up."""
    sources = (Path(module.__file__ or "") for module in (openvino_graph, openvino_upsampling))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.is_file())).hexdigest()


def _model_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineError(
            f"model file {path.name}: got {error.strerror}; expected a file that can be read. Check the path."
        ) from error
