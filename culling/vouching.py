"""Whether everybody has had the time to write what he saw of a kernel: before that it is not culled. Pure.

A beat follows the flush that it vouches for. So when each replica was seen to beat twice since a kernel was first read
as due, all that anybody had seen of it before is written; and if the record has not changed, there was nothing. That
holds for a replica alone that is cut off or slow, as for all of them after an outage, and for those of a former leader.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from persistence.documents import KernelCandidate, ReplicaRecord, ReplicaState

BEATS = 2


class Vouching:
    """How far all had beaten when a kernel was first read as due, and at which `activity_seq`."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[int, dict[str, int]]] = {}

    def restart(self) -> None:
        """Begin anew: what was read until now may be behind."""
        self._due.clear()

    def keep(self, kernel_ids: Collection[str]) -> None:
        """Forget all kernels but these."""
        self._due = {kernel_id: self._due[kernel_id] for kernel_id in kernel_ids if kernel_id in self._due}

    def vouched(self, kernel: KernelCandidate, beats: Mapping[str, int]) -> bool:
        """Take in that a kernel is due, and say whether all have beaten twice since it first was, unchanged.

        Args:
            kernel: As it was read.
            beats: Of the replicas that are not dead, read *after* the kernel.
        """
        seq, first = self._due.get(kernel.kernel_id, (None, {}))
        if seq != kernel.activity_seq:
            first = dict(beats)
            self._due[kernel.kernel_id] = (kernel.activity_seq, first)
        return all(beat >= first.setdefault(replica_id, beat) + BEATS for replica_id, beat in beats.items())


def beats_of(replicas: Iterable[ReplicaRecord]) -> dict[str, int]:
    """How far the replicas that are not dead have beaten, by id."""
    return {record.replica_id: record.beat for record in replicas if record.state != ReplicaState.DEAD}
