"""How a gateway passes messages on: how soon, how fast, at what cost, and whether all of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from time import perf_counter

from benchmarks.clients.channels import Channels, Request
from benchmarks.figures import cells
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.process import cpu_seconds
from benchmarks.subjects.subject import Running, warm_kernel

ROUND_TRIPS = 200
MESSAGES = 20_000
BUFFERS, BUFFER_BYTES = 100, 1_000_000


def round_trip(subject: Running) -> Values:
    """Run `pass` again and again; each time until its reply and its `idle` are there."""
    with warm_kernel(subject) as channels:
        before = cpu_seconds(subject.pid) if subject.pid else 0.0
        took = []
        for _ in range(ROUND_TRIPS):
            began = perf_counter()
            Request(channels, "pass").finish()
            took.append(perf_counter() - began)
        found = {"round_trip": statistics.median(took) * 1000}
        if subject.pid:
            found["round_trip_cpu"] = (cpu_seconds(subject.pid) - before) / ROUND_TRIPS * 1000
    return found


def flood(subject: Running) -> Values:
    """Have a kernel send as fast as it can, and read everything."""
    with warm_kernel(subject) as channels:
        before = cpu_seconds(subject.pid) if subject.pid else 0.0
        got = drain(channels, cells.FLOOD.format(count=MESSAGES), b"stream")
        found = {"flood_received": got.count, "flood_idle": float(got.idle), "flood_rate": got.count / got.seconds}
        if subject.pid:
            found["relay_cpu"] = (cpu_seconds(subject.pid) - before) / got.count * 1e6
    return found


def buffers(subject: Running) -> Values:
    """Have a kernel send large binary buffers, and read everything."""
    with warm_kernel(subject) as channels:
        got = drain(channels, cells.BUFFERS.format(count=BUFFERS, size=BUFFER_BYTES), b"display_data")
    return {"buffers_rate": got.size / got.seconds / 1e6}


@dataclass(frozen=True)
class Drained:
    """What came of a cell.

    Attributes:
        count: Messages of the kind that was asked for.
        size: Their bytes.
        seconds: From the request to the last of them.
        idle: Whether the cell's `idle` came.
    """

    count: int
    size: int
    seconds: float
    idle: bool


def drain(channels: Channels, code: str, kind: bytes) -> Drained:
    """Run a cell and read everything, counting the messages of a kind."""
    began = last = perf_counter()
    request = Request(channels, code)
    count = size = 0
    while (message := request.next()) is not None:
        if message.type == kind:
            last = perf_counter()
            count += 1
            size += message.size
    return Drained(count, size, last - began, request.idle)


FIGURES = (
    Figure(
        "roundtrip",
        (
            Line("round_trip", "`pass`, round trip, median", "ms", "≤ 6 ms"),
            Line("round_trip_cpu", "the same: gateway CPU", "ms", "-"),
        ),
        round_trip,
    ),
    Figure(
        "relay",
        (
            Line("flood_received", f"{MESSAGES:,} messages at once: received", "", f"{MESSAGES:,}", True),
            Line("flood_idle", "the same: `idle` received (1) or lost (0)", "", "1", True),
            Line("flood_rate", "the same: messages per second", "/s", "≥ 10,000 /s", True),
            Line("relay_cpu", "gateway CPU per relayed message", "µs", "≤ 60 µs"),
        ),
        flood,
    ),
    Figure("buffers", (Line("buffers_rate", "100 buffers of 1 MB", "MB/s", "≥ 1,000 MB/s", True),), buffers),
)
