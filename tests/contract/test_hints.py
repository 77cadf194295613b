"""Which changes replicas are told of at once: the few that they have to act on, not each flush of each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from persistence import steps
from persistence.documents import Act
from persistence.driver import Database
from persistence.hints import changes_of, hints
from persistence.kernels import COLLECTION, NOTICED, KernelStore, own_changes
from tests.contract.conftest import Backend
from tests.contract.test_flush import entry
from tests.records import HOST, NOW, queued_kernel, running_kernel


@pytest.fixture
def watched(backend: Backend, kernels: KernelStore) -> KernelStore:
    if backend.is_mock:
        pytest.skip("mongomock has no change streams")
    return kernels


async def test_what_others_must_act_on_is_told_and_a_flush_is_not(database: Database, watched: KernelStore) -> None:
    await watched.insert(running_kernel("k1", owner="r1"))
    await watched.insert(running_kernel("k2", owner="r1"))
    changes = database.collection(COLLECTION).watch((changes_of(NOTICED),))
    await anext(changes)
    await watched.flush("r1", "f1", [entry("k1"), entry("k2")])
    await watched.apply(steps.want_stopped("k1"))
    await watched.flush("r1", "f2", [entry("k1"), entry("k2")])
    await watched.release("r1", now=NOW)
    told = [change for _ in range(3) if (change := await anext(changes)) is not None]
    stopped, *released = [change["updateDescription"] for change in told]
    assert "target" in stopped["updatedFields"]
    assert all("owner" in description["removedFields"] for description in released)
    await changes.aclose()


async def test_a_replica_is_not_told_of_what_it_has_done_itself(database: Database, watched: KernelStore) -> None:
    changes = database.collection(COLLECTION).watch((changes_of(NOTICED, own_changes("r1")),))
    await anext(changes)
    for number, replica in enumerate(("r1", "r2", "r1")):
        await start(watched, f"k{number}", replica)
    await watched.apply(steps.claim_stop("k0", 1, act=Act(id="b0", replica="r1", since=NOW)))
    await watched.apply(steps.claim_stop("k2", 1, act=Act(id="b2", replica="r2", since=NOW)))
    told = [change for _ in range(2) if (change := await anext(changes)) is not None]
    assert [change["documentKey"]["_id"] for change in told] == ["k1", "k2"]
    await changes.aclose()


async def start(kernels: KernelStore, kernel_id: str, replica: str) -> None:
    """Launch a kernel, step by step."""
    act = Act(id=f"act of {kernel_id}", replica=replica, since=NOW)
    record = queued_kernel(kernel_id, act=act, owner=replica)
    await kernels.insert(record)
    stored = await kernels.apply(
        steps.store_process(
            record,
            process={"pid": 11, "start_ticks": 100},
            connection=b"sealed",
            provisioner_name="local-provisioner",
            provisioner_info=b"sealed",
            host=HOST,
        )
    )
    await kernels.apply(steps.mark_running(stored, now=NOW, kernel_info={}, replica=replica))


async def test_a_replica_is_told_that_its_launch_was_taken_over(database: Database, watched: KernelStore) -> None:
    record = queued_kernel("k1", act=Act(id="a1", replica="r1", since=NOW), owner="r1")
    await watched.insert(record)
    changes = database.collection(COLLECTION).watch((changes_of(NOTICED, own_changes("r1")),))
    await anext(changes)
    await watched.apply(steps.take_over_start(record, act=Act(id="a2", replica="r2", since=NOW), now=NOW))
    assert await anext(changes) is not None
    await changes.aclose()


async def test_a_replica_is_told_of_a_kernel_that_is_given_to_it(database: Database, watched: KernelStore) -> None:
    await watched.insert(running_kernel("k1", owner="r2"))
    changes = database.collection(COLLECTION).watch((changes_of(NOTICED, own_changes("r1")),))
    await anext(changes)
    await watched.apply(steps.adopt(running_kernel("k1", owner="r2"), replica="r1", now=NOW))
    assert await anext(changes) is not None
    await changes.aclose()


async def test_a_hint_comes_when_the_watch_stands_and_with_each_change(
    database: Database, watched: KernelStore
) -> None:
    told = hints(database, COLLECTION, fields=NOTICED, log=logging.getLogger("hints"))
    await anext(told)
    await watched.insert(running_kernel("k1"))
    await watched.apply(steps.want_stopped("k1"))
    await anext(told)
    await database.collection(COLLECTION).delete_many({"_id": "k1"})
    await anext(told)


async def test_a_server_that_can_not_leave_out_ones_own_changes_tells_all(
    database: Database, watched: KernelStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(fields: Sequence[str], known: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        return {"$match": {"$no_such_operator": 1}} if known else changes_of(fields)

    monkeypatch.setattr("persistence.hints.changes_of", refused)
    told = hints(database, COLLECTION, fields=NOTICED, log=logging.getLogger("hints"), known=own_changes("r1"))
    await anext(told)
    await watched.insert(running_kernel("k1"))
    await watched.apply(steps.want_stopped("k1"))
    await anext(told)
    assert "There are no hints" not in caplog.text
