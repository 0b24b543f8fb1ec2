"""A document of `rtseg bench` as it is shown: entries with their labels, numbers that may be missing, and formats.

A document comes from a file that anybody may have written or cut: whatever is missing, null, or no number is shown as
unknown and never as 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

UNKNOWN: Final = "–"
"""What stands where a number is not known."""
PARTS: Final = ("model", "backend", "precision", "size", "source", "effect", "sink", "sources", "pace_hz")
"""What a setting is made of; results are the same setting where all of them agree."""
ALWAYS_NAMED: Final = ("model", "precision")


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def numbers(value: object) -> list[float]:
    """Return the finite numbers of a list; an empty one for anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [found for one in value if (found := number(one)) is not None]


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def sentences(value: object) -> list[str]:
    """Return a list of texts; one text is a list of one, anything else is empty."""
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, Sequence) else []


def digits(value: float | None, figures: int = 3) -> str:
    """Return a number with about three significant figures, thousands apart; UNKNOWN for none."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -3:
        return f"{value:.1e}"
    return f"{value:,.{min(3, max(0, figures - 1 - magnitude)) if magnitude < 0 else max(0, figures - 1 - magnitude)}f}"


def whole(value: float | None) -> str:
    """Return a count; UNKNOWN for none."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(share: float | None, decimals: int = 0) -> str:
    """Return a share as per cent; UNKNOWN for none."""
    return UNKNOWN if share is None else f"{share * 100:.{decimals}f} %"


def milliseconds(value: float | None) -> str:
    """Return a duration with its unit; UNKNOWN for none."""
    return UNKNOWN if value is None else f"{digits(value)} ms"


def part_text(name: str, value: object) -> str:
    """Return one part of a setting as it is shown."""
    if name == "size":
        size = numbers(value)
        return f"{size[0]:.0f}×{size[1]:.0f}" if len(size) == 2 else ""
    if name == "source":
        found = mapping(value)
        size = numbers(found.get("size_wh"))
        named = str(found.get("name") or "") if found else str(value or "")
        return f"{named} {size[0]:.0f}×{size[1]:.0f}" if named and len(size) == 2 else named
    if name == "sources":
        count = number(value)
        return f"{count:.0f} sources" if count is not None and count != 1 else ""
    if name == "pace_hz":
        pace = number(value)
        return "" if pace is None else f"paced at {pace:g} Hz"
    if value is None:
        return ""
    return f"{value} effect" if name == "effect" else f"{value} sink" if name == "sink" else str(value)


@dataclass(frozen=True)
class Entry:
    """One result of a document."""

    place: int
    """1 for the first."""
    result: Mapping[str, Any]
    label: str
    """The setting as far as it differs from the others."""

    @property
    def error(self) -> str | None:
        """Why it could not run; None where it ran."""
        found = self.result.get("error")
        return None if found is None else str(found)

    @property
    def faults(self) -> list[str]:
        """What cannot be true of its numbers."""
        return sentences(self.result.get("faults"))

    @property
    def paced(self) -> bool:
        """True where the source sets the rate."""
        return number(self.result.get("pace_hz")) is not None

    @property
    def steady(self) -> bool:
        """False only where it is known that the rate had not settled."""
        return mapping(self.result.get("warm_up")).get("steady") is not False

    @cached_property
    def full_label(self) -> str:
        """The whole setting."""
        return " · ".join(text for name in PARTS if (text := part_text(name, self.result.get(name))))

    def get(self, *path: str) -> float | None:
        """Return a number by its path, such as "latency_ms", "p99"; None where there is none."""
        value: object = self.result
        for name in path:
            value = mapping(value).get(name)
        return number(value)

    def values(self, name: str) -> list[float]:
        """Return the values of the repetitions."""
        return numbers(mapping(self.result.get("values")).get(name))

    def stages(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the stages in the order of a frame's life."""
        found = mapping(self.result.get("stages"))
        return [(str(name), mapping(stage)) for name, stage in found.items()]


def entries_of(document: Mapping[str, Any]) -> list[Entry]:
    """Return the results of a document with labels that tell them apart."""
    results = [mapping(result) for result in document.get("results") or ()]
    texts = [{name: part_text(name, result.get(name)) for name in PARTS} for result in results]
    named = _telling_parts(texts)
    labels = [" · ".join(text[name] for name in named if text[name]) or "unnamed" for text in texts]
    return [
        Entry(place, result, label) for place, (result, label) in enumerate(zip(results, labels, strict=True), start=1)
    ]


def _telling_parts(texts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the parts that tell settings apart; what follows from the others (a model's own size) is left out."""
    named = list(ALWAYS_NAMED)
    for name in PARTS:
        told = {tuple(text[part] for part in named) for text in texts}
        if name not in named and len({(*(text[part] for part in named), text[name]) for text in texts}) > len(told):
            named.append(name)
    return [name for name in PARTS if name in named]


def common_parts(entries: Sequence[Entry]) -> list[str]:
    """Return what all settings share, as shown, beside what every label names."""
    texts = [{name: part_text(name, entry.result.get(name)) for name in PARTS} for entry in entries]
    shared = [name for name in PARTS if name not in ALWAYS_NAMED and len({text[name] for text in texts}) == 1]
    return [texts[0][name] for name in shared if texts[0][name]] if texts else []


def machine_line(document: Mapping[str, Any]) -> str:
    """Return processor, cores, memory and GPU in one line; UNKNOWN where nothing is known."""
    machine = mapping(document.get("machine"))
    cores = number(machine.get("cores"))
    parts = [
        str(machine.get("cpu") or ""),
        "" if cores is None else f"{cores:.0f} cores",
        str(machine.get("memory") or ""),
        str(machine.get("gpu") or ""),
        str(machine.get("system") or ""),
    ]
    return ", ".join(part for part in parts if part) or UNKNOWN


def machine_facts_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every fact of the machine as name and text; what the machine did not tell is unknown."""
    rows: list[tuple[str, str]] = []
    for name, value in mapping(document.get("machine")).items():
        words = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            rows += [(f"{words}: {key}", str(inner)) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            rows.append((words, ", ".join(str(one) for one in value) or UNKNOWN))
        elif isinstance(value, bool):
            rows.append((words, "yes" if value else "no"))
        else:
            rows.append((words, UNKNOWN if value is None else str(value)))
    return rows
