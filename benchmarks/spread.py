"""The spread of what several rounds found. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of several values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of at least one value lie, drawn straight between two of them."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def times_better(ours: float, theirs: float, *, more_is_better: bool) -> float | None:
    """How many times better ours is; below 1, worse. None where a ratio means nothing."""
    if ours <= 0 or theirs <= 0:
        return None
    return ours / theirs if more_is_better else theirs / ours
