"""Which engines of a cache are not worth their place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rtseg.engine_files.cache import EngineCache, Entry
from rtseg.engine_files.key import GRAPH_REVISION
from rtseg.tensorrt_flavour import Flavour

DAY_SECONDS: Final = 86_400


def prunable(
    entries: Sequence[Entry],
    flavour: Flavour | None,
    *,
    older_than_days: float | None = None,
    keep_bytes: int | None = None,
    every: bool = False,
    now: float | None = None,
) -> list[tuple[Entry, str]]:
    """Return the engines to remove, each with the reason in a few words.

    Broken ones always go, and those that no version of rtseg or TensorRT here can open.

    Args:
        entries: of the cache, the latest used first.
        flavour: what is installed; None: unknown, then no engine counts as foreign.
        older_than_days: also those that were not used for so long.
        keep_bytes: also the least recently used until the others fit into this.
        every: all of them.
        now: seconds since 1970; None: the clock's.
    """
    now = time.time() if now is None else now
    chosen: list[tuple[Entry, str]] = []
    kept_bytes = 0
    for entry in entries:
        idle_days = (now - entry.used_at) / DAY_SECONDS
        if every:
            chosen.append((entry, "all were asked for"))
        elif why := _unusable(entry, flavour):
            chosen.append((entry, why))
        elif older_than_days is not None and idle_days > older_than_days:
            chosen.append((entry, f"not used for {idle_days:.0f} days"))
        else:
            kept_bytes += entry.total_bytes
            if keep_bytes is not None and kept_bytes > keep_bytes:
                chosen.append((entry, "more than is to be kept"))
    return chosen


def _unusable(entry: Entry, flavour: Flavour | None) -> str | None:
    """Return why nothing here can open an engine, None where something can."""
    if entry.manifest is None:
        return "broken"
    key = entry.manifest.key
    if key.graph_revision != GRAPH_REVISION:
        return f"built by another rtseg (revision {key.graph_revision})"
    if flavour is not None and (key.flavour, key.flavour_version) != (flavour.name, flavour.version):
        return f"for {key.flavour} {key.flavour_version}, which is not in use here"
    return None


def remove_all(cache: EngineCache, chosen: Sequence[tuple[Entry, str]]) -> tuple[list[Entry], list[Entry]]:
    """Remove engines; return those that are gone, and those that somebody is building or changing just now."""
    gone: list[Entry] = []
    busy: list[Entry] = []
    for entry, _ in chosen:
        (gone if cache.remove(entry.digest) else busy).append(entry)
    cache.sweep()
    return gone, busy
