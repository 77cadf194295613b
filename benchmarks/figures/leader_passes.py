"""Whole passes of a leader, in which nothing is culled: it would be another number of kernels each time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from benchmarks.figures.figure import Line, Values
from benchmarks.figures.repeating import median_ms
from culling.culler import Culler
from culling.election import Election
from culling.janitor import Janitor
from culling.membership import Membership, MembershipTimings
from culling.policy import CullRules
from culling.vouching import Vouching
from persistence.documents import EventRecord, KernelCandidate, KernelNotice, KernelRecord
from persistence.kernel_session_manager import KernelSessionManager
from tests.records import HOST, NOW, replica

KEY = "A" * 43 + "="
LOG = logging.getLogger("bench")
AN_HOUR = timedelta(hours=1)
TIMINGS = MembershipTimings(operation_timeout_seconds=30.0, renew_deadline_seconds=40.0, lease_duration_seconds=60.0)
LINES = (
    Line("leader_cull_few", "the culler's whole pass, 100 kernels due", "ms", "≤ 50 ms"),
    Line("leader_cull_all", "the same, all 10,000 due", "ms", "-"),
    Line("leader_tidy", "the janitor's whole pass, nothing to do", "ms", "≤ 50 ms"),
)


async def passes(uri: str, database: str, replicas: Sequence[str], *, history_days: int) -> Values:
    """Lead over the kernels of a database, and do each pass some times."""
    store = KernelSessionManager(
        mongodb_uri=uri,
        database_name=database,
        sealing_keys=[KEY],
        operation_timeout=30.0,
        history_days=history_days,
    )
    await store.open()
    membership = Membership(store, url="http://x:1", host=HOST, version="1", timings=TIMINGS, log=LOG)
    await membership.register()
    for name in replicas:
        await store.replicas.register(replica(name))
    told: list[EventRecord] = []

    def culler(idle: timedelta) -> Culler:
        timeout = store.clock.earliest_now() - NOW + idle
        rules = CullRules(idle_timeout_seconds=timeout.total_seconds())
        return Culler(store, membership, Idle(), rules=rules, tell=told.append, vouching=Vouching(), log=LOG)

    janitor = Janitor(store, membership, Idle(), lost_host_timeout_seconds=86_400.0, tell=told.append, log=LOG)
    async with Election(store, holder=lambda: "me", timings=TIMINGS, log=LOG).leadership() as term:
        few, every = culler(AN_HOUR), culler(-AN_HOUR)
        await few.cull(term)
        found = {"leader_cull_few": await median_ms(lambda: few.cull(term))}
        await every.cull(term)
        found["leader_cull_all"] = await median_ms(lambda: every.cull(term))
        found["leader_tidy"] = await median_ms(lambda: janitor.tidy(term))
    await store.close()
    return found


class Idle:
    """Has nothing to end and nothing to finish."""

    def reaches(self, kernel: KernelCandidate) -> bool:
        """Say that this replica can end it."""
        return True

    def stop_soon(self, claimed: KernelRecord) -> None:
        """End nothing."""
        return None

    async def met(self, notice: KernelNotice) -> None:
        """Finish nothing."""
        return None
