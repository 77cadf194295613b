"""What single duties of a replica cost, each done some times over."""

from __future__ import annotations

import statistics

from benchmarks.inside import Cost
from benchmarks.subjects.crowd import Crowd

TIMES = 5


def typical(crowd: Crowd, duty: str) -> Cost:
    """Have a duty done some times, and return the medians."""
    costs = [crowd.cost(duty) for _ in range(TIMES)]
    return Cost(
        ms=statistics.median(cost.ms for cost in costs),
        cpu_ms=statistics.median(cost.cpu_ms for cost in costs),
        round_trips=round(statistics.median(cost.round_trips for cost in costs)),
    )
