"""Which changes replicas are told of at once: the few that they have to act on, not each flush of each other."""

from __future__ import annotations

import logging

import pytest

from persistence import steps
from persistence.driver import Database
from persistence.hints import changes_of, hints
from persistence.kernels import COLLECTION, NOTICED, KernelStore
from tests.contract.conftest import Backend
from tests.contract.test_flush import entry
from tests.records import NOW, running_kernel


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
