"""Jumps of the database's clock, as several replicas have seen them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from persistence.documents import ClockStep

SAME_BY_SECONDS = 5.0


def unknown(seen: Iterable[ClockStep], known: Iterable[ClockStep]) -> list[ClockStep]:
    """Return the jumps that are seen and not known.

    Two replicas may have seen the same jump where both have seen one of about that size in a time that they share. Each
    that is known stands for one of those that are seen.

    Args:
        seen: Oldest first.
        known: Oldest first.
    """
    left, new = list(known), []
    for step in seen:
        same = next((each for each in left if _alike(step, each)), None)
        if same is None:
            new.append(step)
        else:
            left.remove(same)
    return new


def _alike(step: ClockStep, other: ClockStep) -> bool:
    overlap = step.at >= _earliest(other) and other.at >= _earliest(step)
    return overlap and abs(step.seconds - other.seconds) < SAME_BY_SECONDS


def _earliest(step: ClockStep) -> datetime:
    return step.at - timedelta(seconds=step.within_seconds)
