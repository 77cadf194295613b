"""Two who stand for election, on virtual time: each has its own client and its own clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

from culling.election import LEASE, Election, LeadershipLost, Term
from culling.timings import MembershipTimings
from persistence.documents import LeaseRecord
from persistence.driver.mock import MockBackend
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import mock_store
from tests.simulation.virtual_time import VirtualLoop, run_virtually

TIMINGS = MembershipTimings(
    operation_timeout_seconds=0.5, renew_interval_seconds=0.5, renew_deadline_seconds=1.2, lease_duration_seconds=2.0
)
LOG = logging.getLogger("test")


class Candidate:
    """One who stands, and what has come of it."""

    def __init__(self, name: str, store: KernelSessionManager) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.name = name
        self.store = store
        self.ahead = 0.0  # what CLOCK_BOOTTIME has counted while the machine was suspended
        self.willing = True
        self.election = Election(
            store,
            holder=lambda: name,
            timings=TIMINGS,
            log=LOG,
            willing=lambda: self.willing,
            monotonic=loop.time,
            boottime=lambda: loop.time() + self.ahead,
        )
        self.term: Term | None = None
        self.lost = 0
        self.task: asyncio.Task[None] | None = None

    def stand(self) -> None:
        self.task = asyncio.create_task(self._lead())

    async def _lead(self) -> None:
        try:
            async with self.election.leadership() as self.term:
                await asyncio.Event().wait()
        except LeadershipLost:
            self.lost += 1

    async def leave(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})

    @property
    def leads(self) -> bool:
        return self.term is not None and not self.term.over

    @property
    def backend(self) -> MockBackend:
        assert isinstance(self.store.database.backend, MockBackend)
        return self.store.database.backend

    async def lease(self) -> LeaseRecord:
        lease = await self.store.leases.get(LEASE)
        assert lease is not None
        return lease


Test = Callable[[Candidate, Candidate], Awaitable[None]]


def with_two(test: Test, databases: Sequence[str] = ("one", "one")) -> None:
    """Run a test with two candidates on one server, and mostly on one database, on virtual time."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            server = f"election-{uuid4().hex}"
            keys = {"sealing_keys": ["A" * 43 + "="], "operation_timeout": 0.5}
            stores = [
                await stack.enter_async_context(mock_store(server, database_name=name, **keys)) for name in databases
            ]
            a, b = (Candidate(name, store) for name, store in zip("ab", stores, strict=True))
            try:
                await test(a, b)
            finally:
                for candidate in (a, b):
                    if candidate.task is not None:
                        await candidate.leave()

    run_virtually(run())
