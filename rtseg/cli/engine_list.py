"""What `rtseg models --engines` shows and removes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtseg.cuda_device import current_device
from rtseg.engine_files.cache import EngineCache, Entry
from rtseg.engine_files.prune import DAY_SECONDS, prunable, remove_all
from rtseg.errors import BackendUnavailable, ConfigError
from rtseg.tensorrt_flavour import Flavour, load_flavour


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineListWords:
    """The words of the command line, as typed."""

    engines: bool
    prune: bool
    older_than_days: float | None
    keep_mb: float | None
    every: bool
    as_json: bool


def check_words(words: EngineListWords, name: str | None) -> None:
    """Raise ConfigError for words that do not belong together."""
    which = [
        word
        for word, is_there in {
            "--older-than": words.older_than_days is not None,
            "--keep-mb": words.keep_mb is not None,
            "--all": words.every,
        }.items()
        if is_there
    ]
    if which and not words.prune:
        raise ConfigError(f"{which[0]}: got no --prune; expected it, as it removes engines. Add --engines --prune.")
    if words.prune and not words.engines:
        raise ConfigError("--prune: got no --engines; expected it, as only engines are removed. Add --engines.")
    if words.engines and name is not None:
        raise ConfigError(f"--engines: got it with {name}; expected it alone. Leave the model out.")


def engines_text(words: EngineListWords) -> str:
    """Return the engines of the cache, a line each, or what was removed of them; or either as JSON."""
    cache = EngineCache()
    if words.prune:
        return _pruned_text(cache, words)
    entries = cache.entries()
    if words.as_json:
        return json.dumps([entry_facts(entry) for entry in entries], indent=2)
    if not entries:
        return f"No engines in {cache.folder}. rtseg build MODEL --backend tensorrt makes one."
    lines = [_line(entry) for entry in entries]
    total = sum(entry.total_bytes for entry in entries)
    return "\n".join([_HEAD, *lines, "", f"{_count(entries)}, {total / 1e6:.1f} MB in {cache.folder}"])


_HEAD = f"{'engine':<12}  {'model':<10} {'size':<9} {'n':>2} {'type':<5} {'form':<6} {'MB':>6}  {'used':<10} for"


def _line(entry: Entry) -> str:
    used = time.strftime("%Y-%m-%d", time.localtime(entry.used_at))
    if entry.manifest is None:
        return f"{entry.digest[:12]}  broken: {entry.fault}"
    key = entry.manifest.key
    width, height = key.size_wh
    return (
        f"{entry.digest[:12]}  {key.model:<10} {f'{width}x{height}':<9} {key.batch:>2} {key.precision:<5} "
        f"{key.form:<6} {entry.total_bytes / 1e6:>6.1f}  {used:<10} {key.flavour} {key.flavour_version}, "
        f"{'any GPU' if key.gpu == 'none' else key.gpu}; {_state(entry)}"
    )


def _state(entry: Entry) -> str:
    if entry.manifest is None:
        return "broken"
    device = current_device()
    if device.present:
        return entry.manifest.state_on(device)
    proved = [proof.device.name for proof in entry.manifest.proofs if proof.accepted]
    return f"proved on {', '.join(proved)}" if proved else "unproved"


def entry_facts(entry: Entry) -> dict[str, Any]:
    """Return what is known of an engine, as plain values."""
    facts: dict[str, Any] = {
        "engine": entry.digest,
        "bytes": entry.total_bytes,
        "used_days_ago": round((time.time() - entry.used_at) / DAY_SECONDS, 3),
        "state": _state(entry),
    }
    if entry.manifest is None:
        return {**facts, "fault": entry.fault}
    return {**facts, "manifest": entry.manifest.to_json()}


def _pruned_text(cache: EngineCache, words: EngineListWords) -> str:
    chosen = prunable(
        cache.entries(),
        _installed(),
        older_than_days=words.older_than_days,
        keep_bytes=None if words.keep_mb is None else round(words.keep_mb * 1e6),
        every=words.every,
    )
    gone, busy = remove_all(cache, chosen)
    if words.as_json:
        return json.dumps({"removed": [entry.digest for entry in gone], "busy": [entry.digest for entry in busy]})
    reasons = {entry.digest: reason for entry, reason in chosen}
    lines = [f"removed {_name(entry)}: {reasons[entry.digest]}" for entry in gone]
    lines += [f"left {_name(entry)}: somebody is building it" for entry in busy]
    freed = sum(entry.total_bytes for entry in gone)
    return "\n".join([*lines, f"{_count(gone)} removed, {freed / 1e6:.1f} MB freed"])


def _count(entries: Sequence[Entry]) -> str:
    return "1 engine" if len(entries) == 1 else f"{len(entries)} engines"


def _name(entry: Entry) -> str:
    digest = entry.digest[:12]
    return digest if entry.manifest is None else f"{digest} ({entry.manifest.key.model})"


def _installed() -> Flavour | None:
    try:
        return load_flavour()
    except BackendUnavailable:
        return None
