"""What grows with the number of kernels, as a table and as a plot. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.plot import Points, svg
from benchmarks.process import Spent
from benchmarks.table import NOTHING, number, row

SIZES = (10, 100, 1_000)
DUTIES = ("sweep", "look", "flush", "beat")
WORKS = {
    "hydrate": "hydration of all, after a restart",
    "sweep": "look, and sweep of the host",
    "look": "look at the records of all",
    "flush": "flush of the activity of all",
    "beat": "beat",
    "list": "GET /api/kernels",
    "relay": "relay of 1,000 messages of one",
    "rest": "a second at rest",
}

Values = Mapping[str, float]
"""What was found, by key."""


def key(work: str, size: int) -> str:
    """Name what was found of a work with so many kernels."""
    return f"growth_{work}_{size}"


def round_trips(duty: str) -> str:
    """Name the commands that a duty sends to the database, as a work."""
    return f"{duty}_round_trips"


def beyond(rest: Spent, work: Spent) -> float:
    """Give the milliseconds of CPU that a work has cost beyond what the replica does at rest in that time."""
    return (work.cpu_seconds - rest.cpu_seconds / rest.seconds * work.seconds) * 1_000


def points(values: Values, work: str) -> Points:
    """Give what was found of a work, by size."""
    return {size: values[key(work, size)] for size in SIZES if key(work, size) in values}


def power(found: Points) -> float | None:
    """Give the power of the size that it has last grown with: 1 is linear, 0 flat; None of a single one."""
    sizes = sorted(found)[-2:]
    if len(sizes) < 2:
        return None
    before, last = sizes
    return math.log(found[last] / found[before]) / math.log(last / before)


def table(values: Values) -> str:
    """Tell it as Markdown; empty where nothing was found."""
    titles = {work: f"{title}: gateway CPU, ms" for work, title in WORKS.items()}
    titles |= {round_trips(duty): f"{WORKS[duty]}: commands to the database" for duty in DUTIES}
    rows = [_row(title, found) for work, title in titles.items() if (found := points(values, work))]
    head = ["with so many kernels", *(f"{size:,}" for size in SIZES), "grows with their number to the power of"]
    return "\n".join([row(head), row(["---"] * len(head)), *rows, ""]) if rows else ""


def _row(title: str, found: Points) -> str:
    grown = power(found)
    cells = [number(found[size]) if size in found else NOTHING for size in SIZES]
    return row([title, *cells, NOTHING if grown is None else f"{grown:.1f}"])


def picture(values: Values) -> str:
    """Draw it as SVG; empty where nothing was found."""
    lines = {title: found for work, title in WORKS.items() if (found := points(values, work))}
    title = "What a replica's works cost, by the number of idle connected kernels"
    return svg(title, lines, across="kernels (dashed: linear)", up="CPU, ms") if lines else ""
