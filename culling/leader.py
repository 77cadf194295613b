"""What a leader does, again and again, for as long as it leads: tidies up after the dead, and culls.

Guaranteed: a pass that fails is logged and made good by the next; without the right to lead nothing is begun.
"""

from __future__ import annotations

from logging import Logger, LoggerAdapter
from typing import Any

from culling.election import Election, LeadershipLost, Term
from culling.janitor import Janitor
from culling.membership import Membership
from persistence import clock
from persistence.errors import PersistenceError


class Leader:
    """This replica's share in leading.

    Args:
        election: Where it stands.
        membership: Of this replica.
        janitor: Tidies up, with each renew interval.
        log: Gets a line for each pass that has done something.
    """

    def __init__(
        self, election: Election, membership: Membership, janitor: Janitor, *, log: Logger | LoggerAdapter[Any]
    ) -> None:
        self._election = election
        self._membership = membership
        self._janitor = janitor
        self._log = log

    async def lead_for_ever(self) -> None:
        """Stand, lead, stand again. Cancelled, it gives the lead back."""
        while True:
            try:
                async with self._election.leadership() as term:
                    await self._lead(term)
            except LeadershipLost:
                continue

    async def _lead(self, term: Term) -> None:
        while not term.over and may_lead(self._membership):
            try:
                await self._pass(term)
            except PersistenceError as error:
                self._log.info("The leader's pass was cut short: %s", error)
            await clock.sleep(self._membership.timings.renew_interval_seconds)

    async def _pass(self, term: Term) -> None:
        done = await self._janitor.tidy(term)
        if done.anything:
            self._log.info("Term %s: %s", term.number, done)


def may_lead(membership: Membership) -> bool:
    """Say whether no live replica is of a newer schema, whose kernels this one would not understand."""
    return all(
        record.schema <= membership.record.schema
        for record in membership.replicas
        if membership.live(record.replica_id) is not False
    )
