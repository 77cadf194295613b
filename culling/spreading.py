"""Which live replica gets which kernel of a dead one. Pure.

By rendezvous hashing: each kernel ranks the replicas by a hash of both names and takes the first one that has room. So
the same kernels go to the same replicas whoever computes it, another replica more or less moves few of them, and none
gets much more than its share. Kernels of the living never move.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from math import ceil

from persistence.documents import KernelNotice, ReplicaRecord, ReplicaState

SLACK = 1.25
"""How much more than the average of those who can reach the same kernels one may have."""


def spread(
    kernels: Iterable[KernelNotice], replicas: Sequence[ReplicaRecord], loads: Mapping[str, int]
) -> dict[str, str]:
    """Choose a new owner for each kernel that one of these replicas can reach.

    Args:
        kernels: Whose owner is gone.
        replicas: Which live; those that drain get nothing.
        loads: How many kernels each owns already.

    Returns:
        Replica ids by kernel id. A kernel that none of them can reach is missing.
    """
    chosen: dict[str, str] = {}
    for ids, group in _groups(kernels, replicas).items():
        now = {replica_id: loads.get(replica_id, 0) for replica_id in ids}
        most = ceil(SLACK * (sum(now.values()) + len(group)) / len(ids))
        for kernel in group:
            replica_id = next(each for each in _ranked(kernel.kernel_id, ids) if now[each] < most)
            now[replica_id] += 1
            chosen[kernel.kernel_id] = replica_id
    return chosen


def reaches(replica: ReplicaRecord, kernel: KernelNotice) -> bool:
    """Say whether this replica can reach the kernel: a local one can be reached on its host only."""
    return kernel.host is None or kernel.host.id == replica.host.id


def _groups(
    kernels: Iterable[KernelNotice], replicas: Sequence[ReplicaRecord]
) -> dict[tuple[str, ...], list[KernelNotice]]:
    ready = [replica for replica in replicas if replica.state == ReplicaState.READY]
    groups: dict[tuple[str, ...], list[KernelNotice]] = defaultdict(list)
    for kernel in kernels:
        ids = tuple(sorted(replica.replica_id for replica in ready if reaches(replica, kernel)))
        if ids:
            groups[ids].append(kernel)
    return groups


def _ranked(kernel_id: str, replica_ids: Iterable[str]) -> list[str]:
    return sorted(replica_ids, key=lambda replica_id: sha256(f"{kernel_id} {replica_id}".encode()).digest())
