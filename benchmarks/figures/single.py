"""What one client waits for: a start, an end, the gateway itself, a kernel that another replica has started."""

from __future__ import annotations

import os
import signal
from time import perf_counter
from uuid import uuid4

from benchmarks.clients.channels import Request
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.subjects.subject import Gateway, Running

BUSY = "import time; time.sleep(3600)"


def start(subject: Running) -> Values:
    """Start one kernel, see it work, and end it."""
    began = perf_counter()
    kernel_id = subject.start_kernel()
    posted = perf_counter() - began
    channels = subject.open(kernel_id)
    Request(channels, "pass").finish()
    worked = perf_counter() - began
    channels.close()
    began = perf_counter()
    subject.end_kernel(kernel_id)
    found = {"first_cell": worked, "delete": (perf_counter() - began) * 1000}
    return {"post": posted * 1000, **found} if subject.pid else found


def start_up(subject: Running) -> Values:
    """Start one more gateway."""
    if not isinstance(subject, Gateway):
        return {}
    with subject.another() as other:
        return {"start_up": other.start_seconds}


def hydrate(subject: Running) -> Values:
    """Ask a second replica for kernels of the first: for an idle one's model, and for a busy one's WebSocket."""
    if not isinstance(subject, Gateway) or subject.database is None:
        return {}
    with subject.another() as other:
        idle, busy = subject.start_kernel(), subject.start_kernel()
        at_work = subject.open(busy)
        Request(at_work, "pass").finish()
        Request(at_work, BUSY)
        with other.rest() as rest:
            rest.request("GET", "/api/kernelspecs")  # so that the connection is there
            began = perf_counter()
            rest.request("GET", f"/api/kernels/{idle}")
            got = perf_counter() - began
        began = perf_counter()
        other.open(busy).close()
        opened = perf_counter() - began
        at_work.close()
        subject.end_kernel(idle)
        subject.end_kernel(busy)
    return {"hydrate_get": got * 1000, "hydrate_open": opened * 1000}


def failover(subject: Running) -> Values:
    """Kill a second replica under a client, which comes back to the first one and runs its next cell there."""
    if not isinstance(subject, Gateway) or subject.database is None:
        return {}
    session_id = uuid4().hex
    with subject.another() as other:
        kernel_id = other.start_kernel()
        Request(other.open(kernel_id, session_id), "x = 1").finish()
        os.kill(other.pid, signal.SIGKILL)
        began = perf_counter()
        channels = subject.open(kernel_id, session_id)
        Request(channels, "x").finish()
        seconds = perf_counter() - began
        channels.close()
        subject.end_kernel(kernel_id)
    return {"failover": seconds}


FIGURES = (
    Figure(
        "single",
        (
            Line("post", "POST of one kernel", "ms", "≤ 10 ms, or when ready"),
            Line("first_cell", "from the POST to the first cell's result", "s", "-"),
            Line("delete", "DELETE of one idle kernel", "ms", "≤ 1.1 times zeromq's"),
        ),
        start,
    ),
    Figure("startup", (Line("start_up", "start-up, from exec to the first answer", "s", "≤ 0.8 s"),), start_up),
    Figure(
        "hydrate",
        (
            Line("hydrate_get", "GET of another replica's kernel", "ms", "≤ 20 ms"),
            Line("hydrate_open", "WebSocket to another replica's busy kernel", "ms", "≤ 100 ms"),
        ),
        hydrate,
    ),
    Figure(
        "failover",
        (Line("failover", "`kill -9` of a replica: until the client's next cell is done on another", "s", "≤ 2 s"),),
        failover,
    ),
)
