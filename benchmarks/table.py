"""The table of a run, as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures.figure import Line
from benchmarks.spread import Spread, times_better

OURS = "ours"
NOTHING = "-"

Found = Mapping[str, Sequence[float]]
"""The values of one line in all rounds, by subject."""


@dataclass
class Run:
    """What a run has found.

    Attributes:
        machine: What it ran on.
        subjects: What was asked for, in the table's order.
        missing: Why a subject has no values, by its name.
        failures: What could not be measured, and why.
        lines: The table's.
        found: All values, by a line's key.
    """

    machine: str
    subjects: Sequence[str]
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    found: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def medians(self, subject: str) -> dict[str, float]:
        """What was found of a subject, by key."""
        return {key: Spread.of(found[subject]).median for key, found in self.found.items() if found.get(subject)}

    def add(self, key: str, subject: str, value: float) -> None:
        """Note a value."""
        self.found.setdefault(key, {}).setdefault(subject, []).append(value)


def markdown(run: Run) -> str:
    """The whole report."""
    columns = ["", "aim", *run.subjects, *(f"times better than {name}" for name in _others(run))]
    head = [row(columns), row(["---"] * len(columns))] if run.lines else []
    table = [*head, *(_line(run, line) for line in run.lines)]
    notes = [f"Missing: {name}: {why}" for name, why in run.missing.items()]
    notes += [f"Failed: {failure}" for failure in run.failures]
    return "\n".join([run.machine, "", *table, *(["", *notes] if notes else []), ""])


def _others(run: Run) -> list[str]:
    return [name for name in run.subjects if name != OURS] if OURS in run.subjects else []


def _line(run: Run, line: Line) -> str:
    found = run.found.get(line.key, {})
    title = f"{line.title}, {line.unit}" if line.unit else line.title
    ratios = [ratio(found, name, more_is_better=line.more_is_better) for name in _others(run)]
    return row([title, line.aim, *(cell(found.get(name, ())) for name in run.subjects), *ratios])


def cell(values: Sequence[float]) -> str:
    """The median, and the range where there is one."""
    if not values:
        return NOTHING
    spread = Spread.of(values)
    if number(spread.least) == number(spread.most):
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.least)} to {number(spread.most)})"


def ratio(found: Found, name: str, *, more_is_better: bool) -> str:
    """How many times better the median is than that of another."""
    if not found.get(OURS) or not found.get(name):
        return NOTHING
    times = times_better(Spread.of(found[OURS]).median, Spread.of(found[name]).median, more_is_better=more_is_better)
    return NOTHING if times is None else number(times)


def number(value: float) -> str:
    """Three digits that count, or all of a large one."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def row(cells: Iterable[str]) -> str:
    """Write a row of a table."""
    return f"| {' | '.join(cells)} |"
