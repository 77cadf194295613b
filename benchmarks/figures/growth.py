"""What each work of a replica costs with 10, 100 and 1,000 idle connected kernels. Of ours alone."""

from __future__ import annotations

import statistics
import time

from benchmarks.figures import cells
from benchmarks.figures.duties import TIMES, typical
from benchmarks.figures.figure import Figure, Values
from benchmarks.figures.relay import MESSAGES, drain
from benchmarks.grown import DUTIES, SIZES, beyond, key, round_trips
from benchmarks.process import Spent, spent
from benchmarks.subjects.crowd import Crowd, crowd
from benchmarks.subjects.subject import Gateway, Running, warm_kernel

REST_SECONDS = 15.0


def growth(subject: Running) -> Values:
    """Let a crowd grow, and measure all works at each size."""
    if not isinstance(subject, Gateway) or subject.database is None:
        return {}
    found: dict[str, float] = {}
    with crowd(subject.database) as many:
        for size in SIZES:
            many.grow(size)
            many.connect()  # all of them: a hydration before has sent the clients away
            found |= {key(work, size): value for work, value in _measured(many).items()}
    return found


def _measured(many: Crowd) -> Values:
    many.cost("ask")  # and learn what kernels say of themselves, which is flushed once
    many.cost("flush")
    found = {"list": _list(many)}
    for duty in DUTIES:
        cost = typical(many, duty)
        found |= {duty: cost.cpu_ms, round_trips(duty): float(cost.round_trips)}
    rest = spent(many.gateway.pid, lambda: time.sleep(REST_SECONDS))
    found["rest"] = rest.cpu_seconds / rest.seconds * 1_000
    found["relay"] = beyond(rest, _relay(many)) / MESSAGES * 1_000
    found["hydrate"] = beyond(rest, _hydrate(many))
    return found


def _relay(many: Crowd) -> Spent:
    with warm_kernel(many.gateway) as channels:
        return spent(many.gateway.pid, lambda: drain(channels, cells.FLOOD.format(count=MESSAGES), b"stream"))


def _list(many: Crowd) -> float:
    with many.gateway.rest() as rest:

        def listed() -> None:
            rest.request("GET", "/api/kernels")

        return statistics.median(spent(many.gateway.pid, listed).cpu_seconds * 1_000 for _ in range(TIMES))


def _hydrate(many: Crowd) -> Spent:
    many.restart()
    return spent(many.gateway.pid, many.wait_until_watched)


FIGURES = (Figure("growth", (), growth, once=True),)
