"""A kernel that prints a gigabyte: what of it comes to who reads, and what a gateway keeps for who does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.clients.channels import Channels, Request
from benchmarks.figures import cells
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.figures.relay import drain
from benchmarks.process import holdings
from benchmarks.subjects.subject import Gateway, Running

LINES, LINE_BYTES = 1_000_000, 1_000
LOOK_SECONDS = 0.05
DONE_WITHIN_SECONDS = 300.0


def gigabyte(subject: Running) -> Values:
    """Have a kernel of a fresh gateway print a gigabyte to a client that reads, and then to one that does not."""
    if not isinstance(subject, Gateway):
        return {}
    with subject.another() as gateway:
        return {**_read(gateway), **_unread(gateway)}


def _read(gateway: Gateway) -> Values:
    with _kernel(gateway) as (_, channels), Peak(gateway.pid) as peak:
        got = drain(channels, cells.PRINT.format(lines=LINES, size=LINE_BYTES), b"stream")
    return {
        "gigabyte_received": got.size / 1e9,
        "gigabyte_idle": float(got.idle),
        "gigabyte_rate": got.size / got.seconds / 1e6,
        "gigabyte_memory": peak.mib,
    }


def _unread(gateway: Gateway) -> Values:
    """The client reads nothing before the kernel is done, and then what there is."""
    with _kernel(gateway) as (kernel_id, channels), Peak(gateway.pid) as peak:
        request = Request(channels, cells.PRINT.format(lines=LINES, size=LINE_BYTES))
        _wait_until_done(gateway, kernel_id)
        request.finish()
    return {"unread_memory": peak.mib, "unread_idle": float(request.idle)}


@contextmanager
def _kernel(gateway: Gateway) -> Iterator[tuple[str, Channels]]:
    kernel_id = gateway.start_kernel()
    try:
        channels = gateway.open(kernel_id)
        try:
            Request(channels, "pass").finish()
            yield kernel_id, channels
        finally:
            channels.close()
    finally:
        gateway.end_kernel(kernel_id)


def _wait_until_done(gateway: Gateway, kernel_id: str) -> None:
    """Wait until the gateway says that the kernel is idle again, having said that it was busy."""
    deadline, wanted = time.monotonic() + DONE_WITHIN_SECONDS, ["busy", "idle"]
    with gateway.rest() as rest:
        while wanted:
            if rest.request("GET", f"/api/kernels/{kernel_id}")["execution_state"] == wanted[0]:
                del wanted[0]
            if time.monotonic() > deadline:
                raise TimeoutError(f"the kernel was not {wanted[0]} within {DONE_WITHIN_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)


class Peak:
    """How much more memory of its own a process holds, at most, than before the block: looked at again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = holdings(pid).memory_mib
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.mib = 0.0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.mib = max(self.mib, holdings(self._pid).memory_mib - self._before)


FIGURES = (
    Figure(
        "gigabyte",
        (
            Line("gigabyte_received", "1 GB printed: received, in GB", "", "1", True),
            Line("gigabyte_idle", "the same: `idle` received (1) or lost (0)", "", "1", True),
            Line("gigabyte_rate", "the same: MB per second", "MB/s", "-", True),
            Line("gigabyte_memory", "the same: memory of the gateway meanwhile, at most", "MiB", "bounded"),
            Line("unread_memory", "1 GB printed to who does not read: memory, at most", "MiB", "bounded"),
            Line("unread_idle", "the same, read at last: `idle` received (1) or lost (0)", "", "1", True),
        ),
        gigabyte,
        once=True,
    ),
)
