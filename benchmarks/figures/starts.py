"""Many users who start kernels at once: who fails, how long the last waits, how the gateway answers meanwhile."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from benchmarks.clients.channels import Request
from benchmarks.clients.rest import Refused
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.process import cpu_seconds
from benchmarks.spread import percentile
from benchmarks.subjects.subject import Running

FEW, MANY = 30, 60
PROBE_SECONDS = 0.1


@dataclass(frozen=True)
class Started:
    """What became of one user's start.

    Attributes:
        kernel_id: None if there is no kernel.
        failure: Why there was no result; None if there was one.
    """

    kernel_id: str | None
    failure: str | None = None


def starts(subject: Running, *, users: int) -> Values:
    """Let so many users start a kernel and run a cell, all at once; then end all kernels at once."""
    before = cpu_seconds(subject.pid) if subject.pid else 0.0
    with ThreadPoolExecutor(users) as pool, probed(subject) as probes:
        began = perf_counter()
        started = list(pool.map(lambda number: _start(subject, f"user-{number}"), range(users)))
        seconds = perf_counter() - began
    found = {"failed": float(sum(one.failure is not None for one in started)), "last_result": seconds}
    for failure, times in Counter(one.failure for one in started if one.failure).items():
        print(f"{times} of {users} users: {failure}", file=sys.stderr, flush=True)
    if subject.pid:
        found["cpu"] = (cpu_seconds(subject.pid) - before) / users * 1000
    found["probe"] = percentile(probes, 95)
    ends = _end_all(subject, [one.kernel_id for one in started if one.kernel_id])
    if ends:
        found |= {"delete": max(ends), "delete_half": percentile(ends, 50)}
    return {f"starts_{users}_{key}": value for key, value in found.items()}


def _start(subject: Running, user: str) -> Started:
    kernel_id = None
    try:
        kernel_id = subject.start_kernel(user)
        channels = subject.open(kernel_id)
        try:
            Request(channels, "print('Hello')").finish()
        finally:
            channels.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, this user has failed
        return Started(kernel_id, f"{type(error).__name__}: {error}")
    return Started(kernel_id)


def _end_all(subject: Running, kernel_ids: list[str]) -> list[float]:
    def end(kernel_id: str) -> float:
        began = perf_counter()
        with suppress(Refused, OSError):  # of a user who has failed, there may be no kernel any more
            subject.end_kernel(kernel_id)
        return perf_counter() - began

    with ThreadPoolExecutor(max(1, len(kernel_ids))) as pool:
        return list(pool.map(end, kernel_ids))


@contextmanager
def probed(subject: Running) -> Iterator[list[float]]:
    """Ask for the kernelspecs again and again, and note the milliseconds of each answer."""
    took: list[float] = []
    over = threading.Event()
    prober = threading.Thread(target=partial(_probe, subject, took, over))
    prober.start()
    try:
        yield took
    finally:
        over.set()
        prober.join()


def _probe(subject: Running, took: list[float], over: threading.Event) -> None:
    with subject.rest() as rest:
        while not over.is_set():
            began = perf_counter()
            rest.request("GET", "/api/kernelspecs")
            took.append((perf_counter() - began) * 1000)
            over.wait(PROBE_SECONDS)


def _figure(users: int, *, last_result: str, delete: str) -> Figure:
    def line(key: str, title: str, unit: str, aim: str) -> Line:
        return Line(f"starts_{users}_{key}", title, unit, aim)

    return Figure(
        f"starts{users}",
        (
            line("failed", f"{users} concurrent starts: users without a result", "", "0"),
            line("last_result", "the same: to the last result", "s", last_result),
            line("probe", "the same: `GET /api/kernelspecs` meanwhile, p95", "ms", "≤ 100 ms"),
            line("cpu", "the same: gateway CPU per start", "ms", "≤ 10 ms"),
            line("delete", f"DELETE of {users} at once, the last answer", "s", delete),
            line("delete_half", "the same: half of the answers", "s", delete),
        ),
        partial(starts, users=users),
    )


FIGURES = (_figure(FEW, last_result="≤ 6.5 s", delete="≤ 0.5 s"), _figure(MANY, last_result="-", delete="-"))
