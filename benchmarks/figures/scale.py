"""One replica with 1,000 idle connected kernels: what it holds and does, and how soon it is back. Of ours alone."""

from __future__ import annotations

import time

from benchmarks.figures.duties import typical
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.process import Holdings, holdings, spent
from benchmarks.subjects.crowd import Crowd, crowd
from benchmarks.subjects.subject import Gateway, Running, warm_kernel
from enterprise_gateway.memory import LOOK_SECONDS

KERNELS = 1_000
ELSEWHERE = 10_000
REST_SECONDS = 30.0


def scale(subject: Running) -> Values:
    """Gather a crowd, watch it doing nothing, send it home, and restart the replica under another one."""
    if not isinstance(subject, Gateway) or subject.database is None:
        return {}
    with crowd(subject.database, elsewhere=ELSEWHERE) as many:
        with warm_kernel(many.gateway):
            pass  # what is loaded with the first kernel is not each one's
        before = holdings(many.gateway.pid)
        found = {**_gathered(many, before), **_at_rest(many), **_back(many), **_ended(many, before)}
    return {f"scale_{key}": value for key, value in found.items()}


def _gathered(many: Crowd, before: Holdings) -> Values:
    pid = many.gateway.pid
    start = spent(pid, lambda: many.grow(KERNELS))
    connect = spent(pid, many.connect)
    during = holdings(pid)
    return {
        "start": start.seconds,
        "start_cpu": start.cpu_seconds / KERNELS * 1000,
        "connect": connect.seconds,
        "connect_cpu": connect.cpu_seconds / KERNELS * 1000,
        "memory": (during.memory_mib - before.memory_mib) / KERNELS,
        "descriptors": (during.descriptors - before.descriptors) / KERNELS,
    }


def _at_rest(many: Crowd) -> Values:
    found = {"ask": many.cost("ask").ms}
    for duty in ("flush", "beat", "look", "sweep"):
        cost = typical(many, duty)
        found |= {duty: cost.ms, f"{duty}_cpu": cost.cpu_ms, f"{duty}_round_trips": float(cost.round_trips)}
    rest = spent(many.gateway.pid, lambda: time.sleep(REST_SECONDS))
    return {**found, "rest": rest.cpu_seconds / rest.seconds * 100, "lost": float(many.clients.lost)}


def _back(many: Crowd) -> Values:
    many.restart()
    back = spent(many.gateway.pid, many.wait_until_watched)
    again = spent(many.gateway.pid, many.connect)
    return {
        "back": back.seconds,
        "back_cpu": back.cpu_seconds / KERNELS * 1000,
        "again": again.seconds,
        "again_cpu": again.cpu_seconds / KERNELS * 1000,
    }


def _ended(many: Crowd, before: Holdings) -> Values:
    pid = many.gateway.pid
    many.disconnect()
    end = spent(pid, many.end)
    time.sleep(2 * LOOK_SECONDS)  # until memory was given back
    after = holdings(pid)
    return {
        "end": end.seconds,
        "end_cpu": end.cpu_seconds / KERNELS * 1000,
        "left_memory": (after.memory_mib - before.memory_mib) / KERNELS,
        "left_descriptors": (after.descriptors - before.descriptors) / KERNELS,
    }


def _line(key: str, title: str, unit: str, aim: str = "-") -> Line:
    return Line(f"scale_{key}", title, unit, aim)


FIGURES = (
    Figure(
        "scale",
        (
            _line("start", f"{KERNELS:,} kernels, {ELSEWHERE:,} elsewhere: starting them, 8 at a time", "s"),
            _line("start_cpu", "the same: gateway CPU per start", "ms", "≤ 10 ms"),
            _line("connect", "connecting to them, 8 at a time", "s"),
            _line("connect_cpu", "the same: gateway CPU per connection", "ms"),
            _line("memory", "memory per idle connected kernel", "MiB", "≤ 0.15 MiB"),
            _line("descriptors", "the same: open files", "", "≤ 8"),
            _line("rest", "CPU at rest, of one core", "%"),
            _line("lost", "the same: WebSockets that were closed", "", "0"),
            _line("ask", "asking all whether they are busy", "ms"),
            _line("flush", "flush of the activity of all", "ms"),
            _line("flush_cpu", "the same: gateway CPU", "ms"),
            _line("flush_round_trips", "the same: commands to the database", "", "1"),
            _line("beat", "beat", "ms"),
            _line("beat_cpu", "the same: gateway CPU", "ms"),
            _line("beat_round_trips", "the same: commands to the database", "", "2"),
            _line("look", "look at the records of all", "ms"),
            _line("look_cpu", "the same: gateway CPU", "ms"),
            _line("look_round_trips", "the same: commands to the database", "", "1"),
            _line("sweep", "look and sweep of the host", "ms"),
            _line("sweep_cpu", "the same: gateway CPU", "ms"),
            _line("sweep_round_trips", "the same: commands to the database", "", "1"),
            _line("back", "restart of the replica: from ready until all are watched again", "s"),
            _line("back_cpu", "the same: gateway CPU per kernel", "ms"),
            _line("again", "connecting to them again, 8 at a time", "s"),
            _line("again_cpu", "the same: gateway CPU per connection", "ms"),
            _line("end", "DELETE of all, 8 at a time", "s"),
            _line("end_cpu", "the same: gateway CPU per kernel", "ms"),
            _line("left_memory", "the same: memory left per kernel", "MiB", "0 MiB"),
            _line("left_descriptors", "the same: open files", "", "0"),
        ),
        scale,
        once=True,
    ),
)
