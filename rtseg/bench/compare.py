"""What is better, worse, or not distinguishable: settings of one run, and two documents of `rtseg bench`.

Note [The rule]
    A benchmark has few repetitions, so no distribution is assumed. A number is better or worse only where
    - the repetitions of the one all lie above those of the other, which equal settings do by chance in
      2 / C(n + m, n) of all cases, and that is at most 1 in 10 (three repetitions each, or more);
    - and the medians differ by more than the larger of the two spreads ((most - least) / median);
    - and, of two runs, further than LEAST_DIFFERENCE: they were measured at different times, and what a machine does
      between two runs is in no run's spread. Settings of one run are interleaved, so there this does not apply.
    The table, the report and the comparison of two documents all ask `judge`.
    Where latency or memory has one value over all repetitions (older documents, systems that cannot restart the peak
    of memory), the difference must exceed a fixed margin, for latency also the relative spread of fps in both
    runs; this is the weaker rule, and the line says so.
    Where other programs took much more of the machine in one run, fps and latency are not compared at all. Everything
    else is not distinguishable, and that is printed in these words.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rtseg.bench.report_values import PARTS, Entry, digits, entries_of, mapping, number, numbers, percent

Judgement = Literal["better", "worse", "not distinguishable"]

LEAST_DIFFERENCE: Final = 0.02
"""Relative difference of medians between two runs that is believed at all."""
MOST_CHANCE: Final = 0.1
"""How often equal settings may lie apart by chance for the ranges to count as apart."""
MOST_OTHERS_DIFFERENCE: Final = 0.3
"""Cores that other programs may take more in one run than in the other before clocks are not compared."""
RULE: Final = (
    "rule: better or worse only where all repetitions of one lie above all of the other (by chance at most 1 in 10), "
    f"and the medians differ by more than the larger spread, of two runs also by more than "
    f"{LEAST_DIFFERENCE:.0%}; what "
    "has one value over all repetitions by more than a fixed margin (latency: and the spread of fps)"
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that is compared."""

    name: str
    path: tuple[str, ...]
    more_is_better: bool
    values: str
    """Where the repetitions' values are, in `values`; looked up, as newer documents may have more of them."""
    margin: float | None = None
    """Relative difference that is asked for where there are no values; None: then nothing is said."""
    by_clock: bool = False
    """True for what other programs on the machine disturb directly."""


METRICS: Final = (
    Metric("fps", ("fps",), True, "fps", by_clock=True),
    Metric("efficiency", ("efficiency",), True, "efficiency"),
    Metric("limit_share", ("limit_share",), True, "limit_share"),
    Metric("core_ms", ("core_ms",), False, "core_ms"),
    Metric("latency p50 ms", ("latency_ms", "p50"), False, "latency_p50_ms", margin=0.10, by_clock=True),
    Metric("latency p99 ms", ("latency_ms", "p99"), False, "latency_p99_ms", margin=0.25, by_clock=True),
    Metric("memory MiB", ("memory_peak_mib",), False, "memory_peak_mib", margin=0.05),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of one number in two runs of one setting."""

    metric: str
    before: float | None
    after: float | None
    judgement: Judgement
    why: str

    @property
    def change(self) -> float | None:
        """The relative difference from before to after; None where either is unknown or nothing."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return self.after / self.before - 1

    def line(self) -> str:
        """Return the verdict in one line."""
        change = "" if self.change is None else f" ({self.change:+.1%})"
        return f"{self.metric}: {digits(self.before)} -> {digits(self.after)}{change}: {self.judgement} ({self.why})"


@dataclass(frozen=True, slots=True)
class Pair:
    """One setting in both documents."""

    label: str
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    """What is to be known before the verdicts are believed."""
    failed_now: str | None = None
    """The error of the second run, where the first one had none."""

    @property
    def worse(self) -> bool:
        """True where any number is worse, or it does not run any more."""
        return self.failed_now is not None or any(verdict.judgement == "worse" for verdict in self.verdicts)

    def lines(self) -> Iterator[str]:
        """Yield the setting and what may be said of it."""
        yield self.label
        yield from (f"  note: {note}" for note in self.notes)
        if self.failed_now is not None:
            yield f"  worse: it ran before and fails now: {self.failed_now}"
        yield from (f"  {verdict.line()}" for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that may be said of two documents."""

    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...] = ()
    """How the two runs differ beside what was measured, in plain words."""
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
    counts: Mapping[Judgement, int] = field(default_factory=dict)

    @property
    def worse(self) -> bool:
        """True where any setting is worse in the second document: what a CI job fails on."""
        return any(pair.worse for pair in self.pairs)

    def lines(self) -> list[str]:
        """Return the comparison as text, one statement a line; warnings first, the rule last."""
        lines = [f"warning: {warning}" for warning in self.warnings]
        for pair in self.pairs:
            lines += pair.lines()
        lines += [f"only in the first: {label}" for label in self.only_before]
        lines += [f"only in the second: {label}" for label in self.only_after]
        if not self.pairs:
            lines.append("nothing to compare: no setting is in both")
        total = ", ".join(f"{self.counts.get(name, 0)} {name}" for name in ("better", "worse", "not distinguishable"))
        return [*lines, f"in all: {total}", RULE]


def compare_documents(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Return what is better, worse or not distinguishable in the second document; see Note [The rule].

    Results are paired where model, backend, precision, size, source, effect, sink, number of sources and pace agree.
    """
    before, after = _by_setting(first), _by_setting(second)
    pairs = [
        pair_of(one, other)
        for key, ones in before.items()
        for one, other in zip(ones, after.get(key, ()), strict=False)
    ]
    counts: dict[Judgement, int] = defaultdict(int)
    for verdict in (verdict for pair in pairs for verdict in pair.verdicts):
        counts[verdict.judgement] += 1
    counts["worse"] += sum(pair.failed_now is not None for pair in pairs)
    return Comparison(
        pairs=tuple(pairs),
        warnings=tuple(_warnings(first, second)),
        only_before=tuple(_unpaired(before, after)),
        only_after=tuple(_unpaired(after, before)),
        counts=dict(counts),
    )


def pair_of(before: Entry, after: Entry) -> Pair:
    """Return what may be said of one setting in two runs."""
    failed_now = after.error if before.error is None else None
    if before.error is not None or after.error is not None:
        notes = () if failed_now is not None else (f"it failed before: {before.error}",)
        return Pair(after.full_label, (), notes, failed_now)
    verdicts = (_verdict(metric, before, after) for metric in METRICS)
    return Pair(
        after.full_label, tuple(verdict for verdict in verdicts if verdict is not None), tuple(_notes(before, after))
    )


def within_run(result: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return how a setting stands to another of the same, interleaved run; see Note [The rule].

    The rate of a paced source says nothing, so there it is what a frame costs that is compared.
    """
    name = "core_ms" if number(result.get("pace_hz")) or number(other.get("pace_hz")) else "fps"
    mine, theirs = (numbers(mapping(one.get("values")).get(name)) for one in (result, other))
    judgement, why = judge(theirs, mine, more_is_better=name == "fps", least_difference=0.0)
    if judgement == "not distinguishable":
        return f"not distinguishable in {name} ({why})"
    ratio = statistics.median(mine) / statistics.median(theirs)
    return f"{judgement}: {ratio:.2f} × the {name} ({why})"


def judge(
    before: Sequence[float],
    after: Sequence[float],
    *,
    more_is_better: bool,
    least_difference: float = LEAST_DIFFERENCE,
) -> tuple[Judgement, str]:
    """Return what may be said of two lists of repetitions, and why; see Note [The rule].

    `least_difference` is 0 for settings of one run, which were interleaved.
    """
    if not before or not after:
        return "not distinguishable", "no values of the repetitions"
    chance = 2 / math.comb(len(before) + len(after), len(before))
    if chance > MOST_CHANCE:
        return "not distinguishable", (
            f"{len(before)} and {len(after)} repetitions are too few: measure at least 3 each"
        )
    middle_before, middle_after = statistics.median(before), statistics.median(after)
    if middle_before <= 0 or middle_after <= 0:
        return "not distinguishable", "one of them is 0"
    difference = abs(middle_after - middle_before) / max(middle_after, middle_before)  # the same both ways round
    spread = max((max(values) - min(values)) / statistics.median(values) for values in (before, after))
    if min(before) <= max(after) and min(after) <= max(before):
        return "not distinguishable", f"the repetitions overlap, spread {percent(spread, 1)}"
    if difference <= max(spread, least_difference):
        bound = (
            f"spread {percent(spread, 1)}" if spread > least_difference else f"{percent(least_difference)} asked for"
        )
        return "not distinguishable", f"the difference of {percent(difference, 1)} is not above the {bound}"
    rises = middle_after > middle_before
    return ("better" if rises == more_is_better else "worse"), f"ranges apart, spread {percent(spread, 1)}"


def _verdict(metric: Metric, before: Entry, after: Entry) -> Verdict | None:
    """Return the verdict on one number; None where both runs have none."""
    old, new = before.get(*metric.path), after.get(*metric.path)
    if old is None and new is None:
        return None
    judgement, why = _judged(metric, before, after, old, new)
    return Verdict(metric.name, old, new, judgement, why)


def _judged(metric: Metric, before: Entry, after: Entry, old: float | None, new: float | None) -> tuple[Judgement, str]:
    if old is None or new is None:
        return "not distinguishable", f"not measured in the {'first' if old is None else 'second'}"
    if any(fault.startswith(metric.name) for entry in (before, after) for fault in entry.faults):
        return "not distinguishable", "a measuring fault: the number cannot be true"
    if metric.name == "fps" and before.paced:
        return "not distinguishable", "the source sets the rate"
    if metric.by_clock and (busy := _other_programs(before, after)):
        return "not distinguishable", busy
    olds, news = before.values(metric.values), after.values(metric.values)
    if olds and news:
        return judge(olds, news, more_is_better=metric.more_is_better)
    if metric.margin is None or old <= 0:
        return "not distinguishable", "no values of the repetitions"
    spread = _fps_spread(before, after) if metric.by_clock else 0.0
    return _judge_single(old, new, metric.margin, spread, more_is_better=metric.more_is_better)


def _judge_single(
    old: float, new: float, margin: float, spread: float | None, *, more_is_better: bool
) -> tuple[Judgement, str]:
    """Judge a number that has one value over all repetitions: the weaker rule."""
    if spread is None:
        return "not distinguishable", "no spread is known"
    bound, difference = max(margin, spread), abs(new - old) / max(new, old)
    if difference <= bound:
        return "not distinguishable", f"one value each; a difference above {percent(bound)} is asked for"
    judgement: Judgement = "better" if (new > old) == more_is_better else "worse"
    return judgement, f"one value each, further apart than {percent(bound)}"


def _other_programs(before: Entry, after: Entry) -> str | None:
    """Return why the clocks of two runs cannot be compared, where other programs took much more in one of them."""
    busy = [entry.get("others_cores") for entry in (before, after)]
    if busy[0] is None or busy[1] is None or abs(busy[0] - busy[1]) <= MOST_OTHERS_DIFFERENCE:
        return None
    return f"other programs kept {digits(busy[0])} cores busy in the first run and {digits(busy[1])} in the second"


def _fps_spread(before: Entry, after: Entry) -> float | None:
    """Return the larger relative spread of fps; None below two repetitions in either."""
    spreads = []
    for entry in (before, after):
        values = entry.values("fps")
        middle = statistics.median(values) if values else 0.0
        if len(values) < 2 or middle <= 0:
            return None
        spreads.append((max(values) - min(values)) / middle)
    return max(spreads)


def _notes(before: Entry, after: Entry) -> Iterator[str]:
    for name, entry in (("first", before), ("second", after)):
        yield from (f"{name} run: FAULT: {fault}" for fault in entry.faults)
        if not entry.steady:
            yield f"the {name} run was not steady after its warm-up"
    for name in ("policy", "repeats", "model_sha256"):
        old, new = before.result.get(name), after.result.get(name)
        if old != new and old is not None and new is not None:
            yield f"{name.replace('_', ' ')} differs: {old} and {new}"
    old_score, new_score = (mapping(entry.result.get("score")) for entry in (before, after))
    if old_score != new_score:
        yield f"score differs: {_score(old_score)} and {_score(new_score)}; it may be another network"
    drops = [sum(int(number(n) or 0) for n in mapping(e.result.get("drops")).values()) for e in (before, after)]
    if drops[0] != drops[1]:
        yield f"dropped frames: {drops[0]} and {drops[1]}"


def _score(score: Mapping[str, Any]) -> str:
    return f"{score.get('name', 'score')} {digits(number(score.get('value')))}" if score else "none"


def _by_setting(document: Mapping[str, Any]) -> dict[tuple[str, ...], list[Entry]]:
    found: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries_of(document):
        found[tuple(_key_part(name, entry.result.get(name)) for name in PARTS)].append(entry)
    return found


def _key_part(name: str, value: object) -> str:
    """Return a part of a setting as text that agrees where the setting agrees; a source goes by its name and size."""
    if name == "sources":
        return f"{number(value) or 1:g}"
    if isinstance(value, Mapping):
        return repr([value.get("name"), value.get("size_wh"), value.get("codec")])
    return repr(list(value)) if isinstance(value, list | tuple) else repr(value)


def _unpaired(
    ours: Mapping[tuple[str, ...], Sequence[Entry]], theirs: Mapping[tuple[str, ...], Sequence[Entry]]
) -> Iterator[str]:
    for key, entries in ours.items():
        for entry in entries[len(theirs.get(key, ())) :]:
            yield entry.full_label + ("" if entry.error is None else f": failed: {entry.error}")


def _warnings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the two runs differ, and that they are two."""
    before, after = mapping(first.get("machine")), mapping(second.get("machine"))
    for name in ("cpu", "cores", "memory", "gpu", "system", "python", "governor"):
        if before.get(name) != after.get(name):
            yield f"another machine: {name} {before.get(name)} and {after.get(name)}"
    old, new = mapping(before.get("versions")), mapping(after.get("versions"))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"another version: {name} {old.get(name) or 'absent'} and {new.get(name) or 'absent'}"
    if first.get("timed") != second.get("timed") or first.get("not_timed") != second.get("not_timed"):
        yield "the two say differently what is timed: other options or another rtseg"
    for name, document in (("first", first), ("second", second)):
        if document.get("interrupted"):
            yield f"the {name} run was interrupted"
    yield "the two runs were not interleaved: what the machine did between them is in no spread"
