"""What a flush of activity promises, in its everyday course and when answers are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pymongo
import pytest
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from persistence.documents import ConnectionCount, KernelRecord, Step
from persistence.driver import Collection, open_database
from persistence.driver.opening import DRIVERS
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.flush import ActivityEntry
from persistence.kernels import KernelStore
from tests.records import NOW, ended_kernel, running_kernel

LATER = NOW + timedelta(seconds=9)


def entry(kernel_id: str = "k1", **values: Any) -> ActivityEntry:
    return replace(ActivityEntry(kernel_id=kernel_id, generation=1, last_activity=LATER), **values)


async def stored(kernels: KernelStore, kernel_id: str = "k1") -> KernelRecord:
    record = await kernels.get(kernel_id)
    assert record is not None
    return record


async def test_activity_is_written_and_stops_older_culls(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(activity_seq=5))
    assert await kernels.flush("r1", "f1", [entry()]) == {"k1"}
    assert await stored(kernels) == running_kernel(activity_seq=6, last_activity=LATER, flush="f1")


async def test_older_activity_moves_no_time_back_but_stops_older_culls(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(last_activity=LATER))
    assert await kernels.flush("r1", "f1", [entry(last_activity=NOW)]) == {"k1"}
    record = await stored(kernels)
    assert (record.last_activity, record.activity_seq) == (LATER, 1)


async def test_activity_finer_than_a_millisecond_is_not_stored_too_early(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    await kernels.flush("r1", "f1", [entry(last_activity=LATER + timedelta(microseconds=1))])
    assert (await stored(kernels)).last_activity == LATER + timedelta(milliseconds=1)


async def test_nothing_to_say_writes_nothing(kernels: KernelStore) -> None:
    assert await kernels.flush("r1", "f1", []) == set()


@pytest.mark.parametrize("record", [ended_kernel(), running_kernel(generation=2)], ids=["ended", "restarted"])
async def test_an_ended_kernel_and_another_generation_take_nothing(kernels: KernelStore, record: KernelRecord) -> None:
    await kernels.insert(record)
    everything = entry(owner=True, execution_state="busy", execution_n=9, connection_count=1, connection_n=9)
    assert await kernels.flush("r1", "f1", [everything]) == set()
    assert await stored(kernels) == record


async def test_what_is_not_acknowledged_is_told_apart(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("k1"))
    await kernels.insert(ended_kernel("k2"))
    await kernels.insert(running_kernel("k3"))
    sent = [entry("k1", connection_count=1, connection_n=1), entry("k2"), entry("k3"), entry("unknown")]
    assert await kernels.flush("r1", "f1", sent) == {"k1", "k3"}


async def test_a_newer_replicas_phase_takes_activity(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(phase="hibernating"))
    assert await kernels.flush("r1", "f1", [entry()]) == {"k1"}


async def test_connections_are_counted_by_replica(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(connections={"r2": ConnectionCount(count=3, n=8)}))
    await kernels.flush("r1", "f1", [entry(connection_count=1, connection_n=2)])
    counts = {"r1": ConnectionCount(count=1, n=2), "r2": ConnectionCount(count=3, n=8)}
    assert (await stored(kernels)).connections == counts


@pytest.mark.parametrize("late_n", [4, 5])
async def test_a_late_count_leaves_the_newer_one(kernels: KernelStore, late_n: int) -> None:
    newer = {"r1": ConnectionCount(count=1, n=5)}
    await kernels.insert(running_kernel(connections=newer))
    assert await kernels.flush("r1", "f1", [entry(connection_count=0, connection_n=late_n)]) == {"k1"}
    assert (await stored(kernels)).connections == newer


async def test_the_owner_tells_busy_or_idle_and_what_the_kernel_is(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(execution_n=1))
    said = entry(owner=True, execution_state="busy", execution_n=2, kernel_info={"banner": "b", "n": 2**70})
    assert await kernels.flush("r1", "f1", [said]) == {"k1"}
    record = await stored(kernels)
    assert (record.execution_state, record.execution_n) == ("busy", 2)
    assert record.kernel_info == {"banner": "b", "n": 2**70}
    assert record.activity_seq == 1


async def test_what_the_owner_does_not_tell_stays(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    await kernels.flush("r1", "f1", [entry(owner=True, execution_state="busy", execution_n=1)])
    assert (await stored(kernels)).kernel_info == running_kernel().kernel_info


async def test_a_late_state_leaves_the_newer_one(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(execution_state="busy", execution_n=5))
    late = entry(owner=True, execution_state="idle", execution_n=4)
    assert await kernels.flush("r1", "f1", [late]) == {"k1"}
    assert (await stored(kernels)).execution_state == "busy"


@pytest.mark.parametrize(("replica_id", "owner"), [("r2", True), ("r2", False), ("r1", False)])
async def test_only_the_owner_tells_busy_or_idle(kernels: KernelStore, replica_id: str, owner: bool) -> None:
    await kernels.insert(running_kernel(owner="r1"))
    said = entry(owner=owner, execution_state="busy", execution_n=9)
    assert await kernels.flush(replica_id, "f1", [said]) == {"k1"}
    record = await stored(kernels)
    assert (record.execution_state, record.last_activity) == ("idle", LATER)


async def test_a_repeated_flush_is_acknowledged(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    said = entry(owner=True, execution_state="busy", execution_n=1, connection_count=1, connection_n=1)
    for flush_id in ("f1", "f2"):
        assert await kernels.flush("r1", flush_id, [said]) == {"k1"}


async def test_a_thousand_kernels_go_in_one_flush(kernels: KernelStore) -> None:
    ids = {f"k{n}" for n in range(1_000)}
    await kernels.insert(running_kernel("k7"))
    sent = [entry(kernel_id, connection_count=1, connection_n=1) for kernel_id in sorted(ids)]
    assert await kernels.flush("r1", "f1", sent) == {"k7"}


class SentCommands(CommandListener):
    """Notes the names of the commands that a client sends."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""


@pytest.mark.mongod
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
@pytest.mark.parametrize("number", [10, 1_000])
async def test_a_flush_is_one_command_however_many_kernels(
    mongod_uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch, driver: str, number: int
) -> None:
    sent = SentCommands()
    make = DRIVERS[driver]
    monkeypatch.setitem(DRIVERS, driver, lambda uri, options: make(uri, {**options, "event_listeners": [sent]}))
    database = await open_database(mongod_uri, database_name, driver=driver, operation_timeout_seconds=60.0)
    try:
        ids = {f"k{n}" for n in range(number)}
        with pymongo.MongoClient[dict[str, Any]](mongod_uri) as client:
            client[database_name]["kernels"].insert_many([running_kernel(each).to_document() for each in ids])
        said = {"owner": True, "execution_state": "busy", "execution_n": 1, "connection_count": 1, "connection_n": 1}
        sent.names.clear()
        assert await KernelStore(database).flush("r1", "f1", [entry(each, **said) for each in ids]) == ids
        assert sent.names == ["update"]
    finally:
        await database.close()


class LostAnswers:
    """A collection whose batches are cut short, or whose answers are lost, after `made` of their updates."""

    def __init__(self, collection: Any, made: int) -> None:
        self._collection = collection
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def update_many_by_id(self, updates: Sequence[Any]) -> int:
        if updates[: self._made]:
            await self._collection.update_many_by_id(updates[: self._made])
        raise StoreUnavailable("no answer")


class Refusing(LostAnswers):
    """A collection that refuses the updates of one kernel, and makes the others."""

    def __init__(self, collection: Any, kernel_id: str) -> None:
        super().__init__(collection, made=0)
        self._kernel_id = kernel_id

    async def update_many_by_id(self, updates: Sequence[Any]) -> int:
        await self._collection.update_many_by_id([update for update in updates if update[0]["_id"] != self._kernel_id])
        raise PersistenceError("the database refused it (codes 17419)")


@pytest.mark.parametrize(("made", "known"), [(0, set()), (1, set()), (2, {"k1"}), (3, {"k1", "k2"})])
async def test_when_the_answer_is_lost_exactly_what_was_written_is_acknowledged(
    kernels: KernelStore, monkeypatch: pytest.MonkeyPatch, made: int, known: set[str]
) -> None:
    for kernel_id in ("k1", "k2"):
        await kernels.insert(running_kernel(kernel_id))
    monkeypatch.setattr(kernels, "_kernels", LostAnswers(kernels._kernels, made))
    # After one update of three k1 bears the flush's mark, and its count is lost all the same.
    sent = [entry("k1", connection_count=1, connection_n=1), entry("k2")]
    assert await kernels.flush("r1", "f1", sent) == known


async def test_the_mark_of_an_earlier_flush_acknowledges_nothing(
    kernels: KernelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kernels.insert(running_kernel())
    await kernels.flush("r1", "f1", [entry()])
    monkeypatch.setattr(kernels, "_kernels", LostAnswers(kernels._kernels, 0))
    assert await kernels.flush("r1", "f2", [entry()]) == set()


async def test_a_kernel_that_ends_while_it_is_flushed_is_not_acknowledged(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    await kernels.apply(Step("end", "k1", {}, {"$set": {"phase": "ended"}, "$unset": {"connections": ""}}))
    assert await kernels.flush("r1", "f1", [entry(connection_count=1, connection_n=1)]) == set()


async def test_what_the_server_refuses_of_one_kernel_keeps_no_other_from_being_written(
    kernels: KernelStore, caplog: pytest.LogCaptureFixture
) -> None:
    await kernels.insert(running_kernel("k1"))
    await kernels.insert(running_kernel("k2"))
    await kernels.insert(running_kernel("k3"))
    refusing = Refusing(kernels._kernels, "k2")
    kernels._kernels = cast(Collection, refusing)
    assert await kernels.flush("r1", "f1", [entry("k1"), entry("k2"), entry("k3")]) == {"k1", "k3"}
    assert "refused a part of flush f1 of replica r1" in caplog.text


async def test_a_kernel_info_without_measure_is_not_stored(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    said = entry(owner=True, execution_state="busy", execution_n=1, kernel_info={"banner": "x" * 70_000})
    assert await kernels.flush("r1", "f1", [said]) == {"k1"}
    record = await stored(kernels)
    assert (record.execution_state, record.kernel_info) == ("busy", running_kernel().kernel_info)
