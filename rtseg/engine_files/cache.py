"""The user's cache of engines: found by key, verified before use, written whole or not at all.

Note [Layout of the cache]
    ENGINES/                       0700; $XDG_CACHE_HOME/rtseg/engines and the like
        .seal                      the random key of the seals, 0600
        DIGEST/manifest.json       the facts, sealed
        DIGEST/engine.plan         the serialized engine
        DIGEST/runtime.cache       compiled kernels (tensorrt_rtx), once it has been run
        DIGEST.lock                while somebody builds or changes it
        .part-DIGEST-…/            while it is written; swept by the next visitor where its writer was killed
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rtseg.engine_files.key import DIGEST_LENGTH, EngineKey
from rtseg.engine_files.lock import locked, locked_if_free
from rtseg.engine_files.manifest import EngineManifest, Proof, read_sealed, sealed_text
from rtseg.errors import EngineError

MANIFEST_NAME: Final = "manifest.json"
PLAN_NAME: Final = "engine.plan"
RUNTIME_CACHE_NAME: Final = "runtime.cache"
_SEAL_NAME: Final = ".seal"
_SEAL_LOCK: Final = "0" * DIGEST_LENGTH
"""Locked while the seal's key is made."""
_SEAL_BYTES: Final = 32
_PART: Final = ".part-"
_LOCK: Final = ".lock"
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class CachedEngine:
    """One whole engine of the cache."""

    cache: EngineCache
    manifest: EngineManifest

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.cache.folder / self.manifest.key.digest

    def read_plan(self) -> bytes:
        """Return the serialized engine; the bytes returned are the ones whose digest was compared.

        Raises:
            EngineError: they are not the ones that were built.
        """
        plan = _read(self.folder / PLAN_NAME)
        if hashlib.sha256(plan).hexdigest() != self.manifest.plan_sha256:
            raise EngineError(_torn(self.manifest, len(plan)))
        return plan

    def read_runtime_cache(self) -> bytes | None:
        """Return the compiled kernels of earlier runs; None where there are none, or not those that rtseg wrote."""
        with suppress(EngineError):
            found = _read(self.folder / RUNTIME_CACHE_NAME)
            current = self.cache._manifest_in(self.folder)  # kernels may have been added since this one was looked up
            if hashlib.sha256(found).hexdigest() == current.runtime_cache_sha256:
                return found
        return None

    def write_runtime_cache(self, kernels: bytes) -> CachedEngine:
        """Keep compiled kernels beside the engine for the next start; return the engine with its new manifest."""
        digest = hashlib.sha256(kernels).hexdigest()

        def put(manifest: EngineManifest) -> EngineManifest:
            self.cache._write(self.folder / RUNTIME_CACHE_NAME, kernels)
            return replace(manifest, runtime_cache_sha256=digest)

        return self._changed(put)

    def add_proof(self, proof: Proof) -> CachedEngine:
        """Keep what the parity gate said; return the engine with its new manifest."""
        return self._changed(lambda manifest: manifest.with_proof(proof))

    def mark_used(self) -> None:
        """Note that it is in use now, for pruning by age."""
        with suppress(OSError):
            os.utime(self.folder / PLAN_NAME)

    def _changed(self, change: Callable[[EngineManifest], EngineManifest]) -> CachedEngine:
        """Change the manifest as it is on disk by now. Raises EngineError where the engine is gone or broken."""
        with self.cache.exclusive(self.manifest.key):
            manifest = change(self.cache._manifest_in(self.folder))
            text = sealed_text(manifest, self.cache._secret())
            self.cache._write(self.folder / MANIFEST_NAME, text.encode())
        return CachedEngine(self.cache, manifest)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a search in the cache found."""

    engine: CachedEngine | None
    reason: str
    """One line: which engine was found, or why none was."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list of the cache."""

    digest: str
    total_bytes: int
    """Of the engine and all that lies beside it."""
    used_at: float
    """Seconds since 1970 when it was built or last used."""
    manifest: EngineManifest | None
    """None where it is broken."""
    fault: str = ""
    """Why it is broken."""


class EngineCache:
    """Engines of one user. Several processes and threads may use it at once."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the cache; nothing is made or read yet.

        Args:
            folder: where it is; None: in the user's cache folder.
        """
        self.folder = folder or default_folder()

    def lookup(self, key: EngineKey) -> Lookup:
        """Return the engine of a key, verified, or the reason in one line why there is none.

        An engine for a GPU that was built ahead, without one, serves as well; it is looked for second.
        """
        faults = []
        wanted = (key,) if key == key.ahead() else (key, key.ahead())
        for one in wanted:
            if not (self.folder / one.digest).is_dir():
                continue
            try:
                return self._verified(one)
            except EngineError as error:
                faults.append(str(error))
        return Lookup(None, faults[0] if faults else self._why_missed(key))

    def _verified(self, key: EngineKey) -> Lookup:
        self._check_private()
        folder = self.folder / key.digest
        manifest = self._manifest_in(folder)
        if manifest.key != replace(key, model=manifest.key.model):
            changed = ", ".join(key.differences(manifest.key))
            raise EngineError(f"engine {key.digest}: got one for another key ({changed}); expected its own. Prune it.")
        engine = CachedEngine(self, manifest)
        engine.read_plan()
        return Lookup(engine, f"engine {key.digest[:12]}, built {manifest.built_at}")

    def _why_missed(self, key: EngineKey) -> str:
        """Return which parts of the key differ from those of the nearest engine of the same model."""
        others = [entry.manifest.key for entry in self.entries() if entry.manifest is not None]
        nearest = [one for one in others if one.model == key.model or one.model_sha256 == key.model_sha256]
        if not nearest:
            return f"no engine of {key.model} in the cache yet"
        changed = min((key.differences(one) for one in nearest), key=len)
        return f"no engine of {key.model} with {'; '.join(changed)}"

    @contextmanager
    def exclusive(self, key: EngineKey, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the one right to build or change the engine of a key; look it up again once it is held.

        Args:
            key: of the engine.
            on_wait: called once, where another process has it.

        Raises:
            EngineError: the cache cannot be written, or is another user's.
        """
        self._make()
        with locked(self._lock_path(key.digest), on_wait=on_wait):
            self.sweep()
            yield

    def store(self, manifest: EngineManifest, plan: bytes) -> CachedEngine:
        """Keep an engine under its key, in place of the one that is there; the caller holds `exclusive`.

        Raises:
            EngineError: the cache cannot be written.
        """
        digest = manifest.key.digest
        manifest = replace(manifest, plan_sha256=hashlib.sha256(plan).hexdigest(), plan_bytes=len(plan))
        with _write_errors(self.folder):
            waiting = Path(tempfile.mkdtemp(prefix=f"{_PART}{digest}-", dir=self.folder))
            try:
                _write_private(waiting / PLAN_NAME, plan)
                _write_private(waiting / MANIFEST_NAME, sealed_text(manifest, self._secret()).encode())
                self._drop(digest)
                waiting.rename(self.folder / digest)
            except BaseException:
                shutil.rmtree(waiting, ignore_errors=True)
                raise
        return CachedEngine(self, manifest)

    def entries(self) -> tuple[Entry, ...]:
        """Return what the cache holds, the latest used first; broken engines too."""
        if not self.folder.is_dir():
            return ()
        folders = [path for path in self.folder.iterdir() if _is_digest(path.name) and path.is_dir()]
        return tuple(sorted((self._entry(path) for path in folders), key=lambda entry: -entry.used_at))

    def _entry(self, folder: Path) -> Entry:
        total, used_at, size = 0, 0.0, 0
        with suppress(OSError):
            total = sum(path.stat().st_size for path in folder.iterdir())
            facts = (folder / PLAN_NAME).stat()
            size, used_at = facts.st_size, facts.st_mtime
        try:
            manifest = self._manifest_in(folder)
            if manifest.key.digest != folder.name:
                raise EngineError(f"engine {folder.name}: got one for another key; expected its own. Prune it.")
            if manifest.plan_bytes != size:
                raise EngineError(_torn(manifest, size))
        except EngineError as error:
            return Entry(folder.name, total, used_at, None, str(error))
        return Entry(folder.name, total, used_at, manifest)

    def remove(self, digest: str) -> bool:
        """Remove an engine; return False where somebody is building or changing it."""
        with locked_if_free(self._lock_path(digest)) as free:
            if free:
                self._drop(digest)
            return free

    def sweep(self) -> int:
        """Remove what killed writers left behind; return how many things that were."""
        if not self.folder.is_dir():
            return 0
        left = [path for path in self.folder.iterdir() if path.name.startswith(_PART) or path.suffix == _LOCK]
        return sum(self._swept(path) for path in left)

    def _swept(self, path: Path) -> bool:
        digest = path.name.removeprefix(_PART)[:DIGEST_LENGTH]
        with locked_if_free(self._lock_path(digest)) as free:  # taking a forgotten lock removes its file
            if free and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif free and path.name.startswith(_PART):
                path.unlink(missing_ok=True)
        return free

    def _drop(self, digest: str) -> None:
        """Remove an engine in one step, as a reader sees it."""
        folder = self.folder / digest
        if folder.exists():
            gone = Path(tempfile.mkdtemp(prefix=f"{_PART}{digest}-", dir=self.folder))
            folder.rename(gone / "old")
            shutil.rmtree(gone, ignore_errors=True)

    def _lock_path(self, digest: str) -> Path:
        return self.folder / f"{digest}{_LOCK}"

    def _manifest_in(self, folder: Path) -> EngineManifest:
        text = _read(folder / MANIFEST_NAME).decode(errors="replace")
        return read_sealed(text, self._secret())

    def _make(self) -> None:
        """Make the folder where it is missing, and see to it that it is the user's alone."""
        with _write_errors(self.folder):
            self.folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self._check_private()

    def _check_private(self) -> None:
        """Close the folder to others. Raises EngineError where it belongs to another user."""
        if sys.platform == "win32":  # the user's own folders are private there
            return
        facts = self.folder.stat()
        if facts.st_uid != os.geteuid():
            raise EngineError(
                f"engine cache {self.folder}: got a folder of user {facts.st_uid}; expected your own, as engines are "
                "code. Set XDG_CACHE_HOME to a folder of yours."
            )
        if stat.S_IMODE(facts.st_mode) != _PRIVATE:
            with _write_errors(self.folder):
                self.folder.chmod(_PRIVATE)

    def _secret(self) -> bytes:
        """Return the key of the seals; made when it is first needed."""
        path = self.folder / _SEAL_NAME
        if not path.is_file():
            self._make()
            with locked(self._lock_path(_SEAL_LOCK)):
                if not path.is_file():
                    self._write(path, secrets.token_bytes(_SEAL_BYTES))
        return _read(path)

    def _write(self, path: Path, content: bytes) -> None:
        """Replace a file, whole at every moment; the caller holds the lock of its engine."""
        digest = path.parent.name if _is_digest(path.parent.name) else _SEAL_LOCK
        waiting = self.folder / f"{_PART}{digest}-{path.name}"
        with _write_errors(path):
            _write_private(waiting, content)
            waiting.replace(path)


def default_folder() -> Path:
    """Return where the user's engines are; XDG_CACHE_HOME moves it."""
    from platformdirs import user_cache_path

    return user_cache_path("rtseg", appauthor=False) / "engines"


def _is_digest(name: str) -> bool:
    return len(name) == DIGEST_LENGTH and set(name) <= set("0123456789abcdef")


def _torn(manifest: EngineManifest, size: int) -> str:
    return (
        f"engine {manifest.key.digest[:12]} of {manifest.key.model}: got a plan of {size} bytes that is not the one "
        f"that was built ({manifest.plan_bytes} bytes, sha256 {manifest.plan_sha256[:12]}…); expected it unchanged. "
        "Build it again."
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        got = error.strerror or error
        raise EngineError(f"engine file {path}: got {got}; expected a readable file. Build it again.") from error


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"engine cache: got {error.strerror or error} at {path}; expected a place to write to. Free some space, or "
            "set XDG_CACHE_HOME."
        ) from error
