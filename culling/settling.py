"""Whether everybody has had the time to write what he saw: before that, nobody is culled. Pure.

When a term has begun, or the database was away, the records may be behind what the replicas know. A beat follows the
flush that it vouches for; so when each replica was seen to beat twice, or is dead, what was known before is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from persistence.documents import ReplicaRecord, ReplicaState

BEATS = 2


class Settling:
    """Watches the beats since it was last started."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def restart(self) -> None:
        """Begin anew: what was written until now may be behind."""
        self._first.clear()

    def settled(self, replicas: Iterable[ReplicaRecord]) -> bool:
        """Take in how far all have beaten, and say whether that is enough."""
        beats = {record.replica_id: record.beat for record in replicas if record.state != ReplicaState.DEAD}
        for replica_id, beat in beats.items():
            self._first.setdefault(replica_id, beat)
        return all(beat >= self._first[replica_id] + BEATS for replica_id, beat in beats.items())
