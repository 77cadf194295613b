"""Runs a replica that does single duties when the benchmark asks for them, and says what each has cost.

    python -m benchmarks.inside SOCKET python -m enterprise_gateway

On the Unix socket each line names a duty, and is answered by a line of JSON, a `Cost`: what it took the replica, at the
size that it has, and how many commands it sent to the database. What the replica does beside it counts as CPU time too.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

from pymongo import monitoring

from enterprise_gateway.replica import Replica
from persistence import clock

_sent: ContextVar[list[str] | None] = ContextVar("_sent", default=None)


@dataclass(frozen=True)
class Cost:
    """What a duty has cost.

    Attributes:
        ms: Milliseconds until it was done.
        cpu_ms: Milliseconds of CPU that the process had meanwhile.
        round_trips: Commands to the database.
    """

    ms: float
    cpu_ms: float
    round_trips: int


class Commands(monitoring.CommandListener):
    """Notes the commands of the duty at work, by the context that its tasks share."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command is sent."""
        sent = _sent.get()
        if sent is not None:
            sent.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """It was answered."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It was not."""


async def flush(replica: Replica) -> None:
    """Write the activity of all kernels: each has just been used."""
    for held in replica.parts.held:
        held.activity.touch()
    await replica.flusher.flush()


async def beat(replica: Replica) -> None:
    """Beat, with nothing to write of any kernel."""
    await replica.membership.beat_once(replica.flusher.flush)


async def look(replica: Replica) -> None:
    """Look at the records of all that concerns this replica, none of which has changed."""
    replica.noticing._sweep._taken_at = clock.monotonic()  # no census now
    await replica.noticing.look()


async def sweep(replica: Replica) -> None:
    """Look, and sweep the host: nothing is left over."""
    replica.noticing._sweep._taken_at = None
    await replica.noticing.look()


async def ask(replica: Replica) -> None:
    """Ask each kernel whether it is busy, as after a long silence, and wait for all answers."""
    for held in replica.parts.held:
        replica.ownership._prober.ask(held)
    # Not gathered: one that is asked anew meanwhile is cancelled, and that is no failure of the others.
    await asyncio.wait([held.probe for held in replica.parts.held if held.probe is not None])


Duty = Callable[[Replica], Awaitable[None]]
DUTIES: Mapping[str, Duty] = {duty.__name__: duty for duty in (flush, beat, look, sweep, ask)}


async def cost(work: Callable[[], Awaitable[object]]) -> Cost:
    """Do something, and say what it has cost."""
    sent: list[str] = []
    token = _sent.set(sent)
    began, cpu = perf_counter(), time.process_time()
    try:
        await work()
    finally:
        _sent.reset(token)
    return Cost((perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000, len(sent))


async def answer(replica: Replica, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what one client asks for, duty after duty."""
    while line := await reader.readline():
        try:
            found = asdict(await cost(partial(DUTIES[line.decode().strip()], replica)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the benchmark is to say so
            found = {"error": repr(error)}
        writer.write(json.dumps(found).encode() + b"\n")
        await writer.drain()
    writer.close()


def main() -> None:
    """Run the module."""
    address, _python, _m, module, *arguments = sys.argv[1:]
    monitoring.register(Commands())
    _open_with(Replica.start, address)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _open_with(start: Callable[[Replica], None], address: str) -> None:
    def opened(self: Replica) -> None:
        start(self)
        serving = asyncio.start_unix_server(partial(answer, self), address)
        self.background.once("the benchmark's door", _keep(serving))

    Replica.start = opened  # type: ignore[method-assign]


async def _keep(serving: Awaitable[asyncio.Server]) -> None:
    async with await serving as server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
