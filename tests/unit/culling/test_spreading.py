from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from culling.spreading import SLACK, spread
from persistence.documents import HostDoc, KernelNotice, ReplicaRecord, ReplicaState
from tests.records import HOST, replica, running_kernel

ELSEWHERE = HostDoc(id="host-2", machine="machine-2", boot="boot-2", name="node-b")


def kernels(count: int, host: HostDoc | None = HOST) -> list[KernelNotice]:
    records = (running_kernel(f"k{n}", host=host) for n in range(count))
    return [KernelNotice.from_document(record.to_document()) for record in records]


def replicas(*ids: str, host: HostDoc = HOST) -> list[ReplicaRecord]:
    return [replica(each, host=host) for each in ids]


@given(count=st.integers(0, 200), loads=st.lists(st.integers(0, 100), min_size=1, max_size=7))
def test_nobody_gets_more_than_his_share_and_some_slack(count: int, loads: list[int]) -> None:
    live = {f"r{n}": load for n, load in enumerate(loads)}
    chosen = spread(kernels(count), replicas(*live), live)
    assert len(chosen) == count
    most = ceil(SLACK * (sum(loads) + count) / len(loads))
    for replica_id, gained in Counter(chosen.values()).items():
        assert live[replica_id] + gained <= most


def test_who_computes_it_makes_no_difference() -> None:
    there, back = replicas("r1", "r2", "r3"), replicas("r3", "r2", "r1")
    assert spread(kernels(50), there, {}) == spread(kernels(50), back, {})


def test_one_replica_more_takes_its_share_and_moves_nothing_else() -> None:
    loads = {"r1": 1000, "r2": 1000, "r3": 1000}  # so many that the bound is far
    before = spread(kernels(20), replicas("r1", "r2"), loads)
    after = spread(kernels(20), replicas("r1", "r2", "r3"), loads)
    assert "r3" in after.values()
    assert all(after[kernel] in (owner, "r3") for kernel, owner in before.items())


def test_a_local_kernel_goes_to_its_own_host_only() -> None:
    live = [*replicas("here"), *replicas("there", host=ELSEWHERE)]
    assert set(spread(kernels(10), live, {}).values()) == {"here"}


def test_a_kernel_that_nobody_can_reach_stays_where_it_is() -> None:
    assert spread(kernels(10, ELSEWHERE), replicas("r1"), {}) == {}


def test_a_kernel_without_a_host_may_go_to_anybody() -> None:
    live = [*replicas("here"), *replicas("there", host=ELSEWHERE)]
    assert set(spread(kernels(40, None), live, {}).values()) == {"here", "there"}


def test_who_drains_gets_nothing() -> None:
    draining = replace(replica("r1"), state=ReplicaState.DRAINING)
    assert set(spread(kernels(10), [draining, replica("r2")], {}).values()) == {"r2"}
