"""Who lives, judged by beats that were seen to change, on this replica's own monotonic clock. No database here.

Stored times are never compared, so a clock that is wrong by hours decides nothing. Observation counts only while it is
unbroken: after an outage of the database everybody looks dead, so a read that failed, or a gap, starts it anew. What is
known then is that nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any

from culling.timings import MembershipTimings
from persistence import clock
from persistence.documents import ReplicaRecord, ReplicaState

_MOST_ABSENT = 1000


@dataclass
class _Seen:
    record: ReplicaRecord
    since: float
    """When its beat was first seen as it is, in this unbroken observation."""
    changed_at: float | None = None
    """When its beat was last seen to change; None: not in this observation."""
    suspected: bool = False
    proven: bool = True
    """Has it come, or beaten, before one's own eyes? Who is only listed may have died long ago."""


class Observation:
    """What one replica has seen of all.

    Args:
        timings: Lease duration and renew interval count here.
        log: Told who comes, stops, is suspected and comes back; nothing of oneself.
        monotonic: The clock, for tests.
    """

    def __init__(
        self,
        timings: MembershipTimings,
        log: Logger | LoggerAdapter[Any],
        *,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._timings = timings
        self._log = log
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self._last_read: float | None = None
        self._asked: dict[str, float] = {}
        self._absent: set[str] = set()
        self._own_id = ""

    @property
    def records(self) -> tuple[ReplicaRecord, ...]:
        """All replicas as they were last read."""
        return tuple(seen.record for seen in self._seen.values())

    def record(self, replica_id: str) -> ReplicaRecord | None:
        """Give a replica's document as it was last read."""
        seen = self._seen.get(replica_id)
        return None if seen is None else seen.record

    def live(self, replica_id: str) -> bool | None:
        """Say whether a replica lives.

        Returns:
            True: its beat was seen to change within one lease duration. False: it is dead by its document, or its beat
            was seen unchanged for one lease duration. None: unknown, which is no ground to do anything.
        """
        seen = self._seen.get(replica_id)
        if seen is None:
            return False if self.gone(replica_id) else None
        if seen.record.state == ReplicaState.DEAD:
            return False
        if self._last_read is None or self._broken_at(self._monotonic()):
            return None
        if self._unchanged_seconds(seen, self._last_read) >= self._timings.lease_duration_seconds:
            return False
        changed_at = seen.changed_at
        if changed_at is not None and self._monotonic() - changed_at < self._timings.lease_duration_seconds:
            return True
        return None

    def gone(self, replica_id: str) -> bool:
        """Say whether a replica is dead by its document, or has none: the end of it, whatever else is seen.

        A replica registers before it writes anything under its id. So an id that is met somewhere, and that a list
        lacks which was read *afterwards*, belongs to nobody any more; until there is such a list the answer is no.
        """
        seen = self._seen.get(replica_id)
        if seen is not None:
            return seen.record.state == ReplicaState.DEAD
        if replica_id in self._absent:
            return True
        self._asked.setdefault(replica_id, self._monotonic())
        return False

    def observe(self, records: Sequence[ReplicaRecord], *, began: float, own_id: str = "") -> None:
        """Take in a list of all replicas.

        Args:
            records: As a linearizable read gave them.
            began: When that read was begun, on the monotonic clock.
            own_id: Who observes.
        """
        self._own_id = own_id
        now = self._monotonic()
        if self._last_read is not None and self._broken_at(began):
            self.restart()
        unbroken = self._last_read is not None
        self._note_absent({record.replica_id for record in records}, began)
        before, self._seen = self._seen, {}
        for record in records:
            self._seen[record.replica_id] = self._look_at(record, before.pop(record.replica_id, None), now, unbroken)
        for seen in before.values():
            self._tell(seen.record, "is not listed any more")
        self._last_read = began
        self._suspect()

    def restart(self) -> None:
        """Begin anew: nothing that was seen until now says who lives."""
        self._last_read = None

    def _broken_at(self, moment: float) -> bool:
        return self._last_read is not None and moment - self._last_read > 2 * self._timings.longest_interval_seconds

    def _look_at(self, record: ReplicaRecord, before: _Seen | None, now: float, unbroken: bool) -> _Seen:
        if before is None:
            self._tell_arrival(record, unbroken)
            return _Seen(record, now, changed_at=now if unbroken else None, proven=unbroken)
        self._tell_change(before, record)
        beaten = record.beat != before.record.beat
        proven = before.proven or beaten
        if not unbroken:
            return _Seen(record, now, suspected=before.suspected, proven=proven)
        if not beaten:
            return _Seen(record, before.since, before.changed_at, before.suspected, proven)
        if before.suspected:
            self._tell(record, "beats again")
        return _Seen(record, now, changed_at=now)

    def _tell_arrival(self, record: ReplicaRecord, unbroken: bool) -> None:
        if record.state != ReplicaState.DEAD:  # those who went before this one came are no news
            self._tell(record, f"is {record.state}" if unbroken else "is known")

    def _tell_change(self, before: _Seen, record: ReplicaRecord) -> None:
        beaten = record.beat != before.record.beat
        if record.state != before.record.state:
            # Who leaves in order says so with a beat; the dead are declared dead on the beat that did not change.
            stopped = record.state == ReplicaState.DEAD and beaten
            self._tell(record, "has stopped" if stopped else f"is {record.state}")
        elif beaten and not before.proven and not before.suspected:
            self._tell(record, f"is {record.state}")

    def _tell(self, record: ReplicaRecord, what: str) -> None:
        if record.replica_id != self._own_id:
            self._log.info("Replica %s at %s %s", record.replica_id, record.url, what)

    def _suspect(self) -> None:
        for seen in self._seen.values():
            if seen.suspected or seen.record.state == ReplicaState.DEAD or self._last_read is None:
                continue
            if self._unchanged_seconds(seen, self._last_read) >= self._timings.lease_duration_seconds:
                seen.suspected = True
                self._log.warning(
                    "Replica %s at %s is suspected to be dead: no beat was seen for %.1f s",
                    seen.record.replica_id,
                    seen.record.url,
                    self._unchanged_seconds(seen, self._last_read),
                )

    def _unchanged_seconds(self, seen: _Seen, last_read: float) -> float:
        # Up to the beginning of the last read that showed it: what came afterwards nobody has seen.
        return last_read - seen.since

    def _note_absent(self, present: set[str], began: float) -> None:
        if len(self._absent) > _MOST_ABSENT:
            self._absent.clear()  # they will be asked for again
        answered = {replica_id for replica_id, asked in self._asked.items() if asked < began}
        self._absent |= answered - present
        for replica_id in answered:
            del self._asked[replica_id]
