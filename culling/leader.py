"""What a leader does, again and again, for as long as it leads: tidies up after the dead, and culls.

Guaranteed: a pass that fails is logged and made good by the next; without the right to lead nothing is begun; nothing
is culled on what was read in another term, or before the database was away.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger, LoggerAdapter
from typing import Any

from culling.culler import Culler
from culling.election import Election, LeadershipLost, Term
from culling.janitor import Janitor
from culling.membership import Membership
from culling.vouching import Vouching
from persistence import clock
from persistence.errors import PersistenceError


class Leader:
    """This replica's share in leading.

    Args:
        election: Where it stands.
        membership: Of this replica.
        janitor: Tidies up, with each renew interval.
        culler: Culls, with each interval of its own; None: nothing is to be culled.
        cull_interval_seconds: That interval.
        vouching: The culler's, started anew here.
        log: Gets a line for each pass.
        boottime: The clock of the interval, for tests.
    """

    def __init__(
        self,
        election: Election,
        membership: Membership,
        janitor: Janitor,
        culler: Culler | None,
        *,
        cull_interval_seconds: float,
        vouching: Vouching,
        log: Logger | LoggerAdapter[Any],
        boottime: Callable[[], float] = clock.boottime,
    ) -> None:
        self._election = election
        self._membership = membership
        self._janitor = janitor
        self._culler = culler
        self._cull_interval_seconds = cull_interval_seconds
        self._vouching = vouching
        self._log = log
        self._boottime = boottime
        self._differing: set[str] = set()

    @property
    def seconds_since_attempt(self) -> float | None:
        """Since the lead was last meant to be renewed; None where this replica never did."""
        return self._election.seconds_since_attempt

    async def lead_for_ever(self) -> None:
        """Stand, lead, stand again. Cancelled, it gives the lead back."""
        while True:
            try:
                async with self._election.leadership() as term:
                    await self._lead(term)
            except LeadershipLost:
                continue

    def distrust(self) -> None:
        """The database was away: what is in it may be behind what replicas know."""
        self._vouching.restart()

    async def _lead(self, term: Term) -> None:
        self.distrust()
        due = self._due_in(0.0)
        while not term.over and may_lead(self._membership):
            try:
                await self._tidy(term)
                if self._culler is not None:
                    await self._culler.clock_steps(term)
                if due.passed and await self._cull(term):
                    due = self._due_in(self._cull_interval_seconds)
            except PersistenceError as error:
                self.distrust()
                self._log.info("The leader's pass was cut short: %s", error)
            await clock.sleep(self._membership.timings.renew_interval_seconds)

    async def _tidy(self, term: Term) -> None:
        done = await self._janitor.tidy(term)
        self._tell_differences()
        if done.anything:
            self._log.info("Term %s: %s", term.number, done)

    async def _cull(self, term: Term) -> bool:
        """Make a pass; False where it has to be made again soon."""
        if self._culler is None:
            return True
        done = await self._culler.cull(term)
        log = self._log.info if done.culled or not done.waiting else self._log.debug
        log("Term %s: %s", term.number, done)
        return not done.waiting

    def _tell_differences(self) -> None:
        own = self._membership.record
        for record in self._membership.replicas:
            differs = record.culling != own.culling and self._membership.live(record.replica_id) is True
            if differs and record.replica_id not in self._differing:
                self._differing.add(record.replica_id)
                self._log.warning(
                    "Replica %s at %s has other settings of culling; those of this one hold, as long as it leads",
                    record.replica_id,
                    record.url,
                )

    def _due_in(self, seconds: float) -> clock.Deadline:
        return clock.Deadline(seconds, now=self._boottime)


def may_lead(membership: Membership) -> bool:
    """Say whether no live replica is of a newer schema, whose kernels this one would not understand."""
    return all(
        record.schema <= membership.record.schema
        for record in membership.replicas
        if membership.live(record.replica_id) is not False
    )
