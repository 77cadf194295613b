"""A private mongod that several replicas share, and replicas that die."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.waiting import eventually, eventually_now
from tests.contract.embedded.actors import Client, Folders, Replica, alive, kill_mongod, note, notes


@pytest.mark.mongod
async def test_a_stale_socket_and_an_unclean_lock_file_stop_nobody(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    replica_of_before = start_replica()
    await note(replica_of_before.wait_for_uri(), "before")
    replica_of_before.kill()
    kill_mongod(folders.data / "mongod.json")
    assert folders.socket.exists()
    assert (folders.data / "db" / "mongod.lock").read_text()
    assert await notes(start_replica().wait_for_uri()) == ["before"]


@pytest.mark.mongod
async def test_mongod_outlives_a_killed_replica_and_is_adopted_by_the_next(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    first = start_replica()
    await note(first.wait_for_uri(), "before")
    process = folders.process
    first.kill()
    second = start_replica()
    assert await notes(second.wait_for_uri()) == ["before"]
    assert folders.process == process
    assert f"Adopted mongod (process {process.pid})" in second.log


@pytest.mark.mongod
def test_the_last_to_leave_stops_a_mongod_that_another_started(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    start_replica().started().kill()
    second = start_replica().started()
    second.leave()
    assert not alive(folders.process)


@pytest.mark.mongod
def test_replicas_that_start_together_share_one_mongod(start_replica: Callable[[], Replica], folders: Folders) -> None:
    replicas = [start_replica() for _ in range(3)]
    assert len({each.wait_for_uri() for each in replicas}) == 1
    assert sum(each.log.count("Started mongod") for each in replicas) == 1


@pytest.mark.mongod
async def test_a_survivor_adopts_mongod_when_the_supervisor_is_killed(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    supervisor = start_replica()
    uri = supervisor.wait_for_uri()
    survivor = start_replica().started()
    process = folders.process
    async with Client(uri) as client:
        supervisor.kill()
        await eventually(lambda: "Adopted mongod" in survivor.log, "the survivor has adopted mongod")
        assert folders.process == process
        await client["gateway"]["notes"].insert_one({"_id": "on the same connection"})


@pytest.mark.mongod
async def test_a_survivor_restarts_a_mongod_that_it_adopted(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    supervisor = start_replica()
    uri = supervisor.wait_for_uri()
    await note(uri, "before")
    survivor = start_replica().started()
    supervisor.kill()
    await eventually(lambda: "Adopted mongod" in survivor.log, "the survivor has adopted mongod")
    former = folders.process
    os.kill(former.pid, signal.SIGKILL)
    await eventually(lambda: folders.replaced(former), "another mongod runs")
    assert await notes(uri) == ["before"]


@pytest.mark.mongod
async def test_supervisor_and_mongod_killed_together_leave_the_survivor_its_uri(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    supervisor = start_replica()
    uri = supervisor.wait_for_uri()
    await note(uri, "before")
    folders.runtime = folders.root / "elsewhere"  # where the survivor would put the socket by itself
    start_replica().started()
    former = folders.process
    supervisor.kill()
    os.kill(former.pid, signal.SIGKILL)
    await eventually(lambda: folders.replaced(former), "another mongod runs")
    assert await notes(uri) == ["before"]


@pytest.mark.mongod
def test_mongod_goes_on_until_the_last_replica_has_left(start_replica: Callable[[], Replica], folders: Folders) -> None:
    replicas = [start_replica().started() for _ in range(3)]
    process = folders.process
    for each in replicas[:2]:
        each.leave()
        assert alive(process)
    replicas[2].leave()
    assert not alive(process)


@pytest.mark.mongod
def test_replicas_that_leave_together_stop_mongod(start_replica: Callable[[], Replica], folders: Folders) -> None:
    replicas = [start_replica().started() for _ in range(3)]
    for each in replicas:
        each.begin_to_leave()
    for each in replicas:
        each.wait_until_left()
    assert not alive(folders.process)


@pytest.mark.mongod
def test_a_supervisor_killed_before_its_set_is_made_is_succeeded(
    start_replica: Callable[[], Replica], folders: Folders
) -> None:
    first = start_replica()
    second = start_replica()
    state_file = folders.data / "mongod.json"
    eventually_now(state_file.exists, "mongod was recorded")
    supervisor, other = (first, second) if _holds_lock(first, folders) else (second, first)
    supervisor.kill()
    other.wait_for_uri()
    assert folders.state.ready


def _holds_lock(of: Replica, folders: Folders) -> bool:
    inode = (folders.data / "supervisor.lock").stat().st_ino
    rows = [row.split() for row in Path("/proc/locks").read_text().splitlines()]
    return any(row[4] == str(of.process.pid) and row[5].endswith(f":{inode}") for row in rows if row[1] == "FLOCK")


@pytest.mark.mongod
async def test_the_last_stops_mongod_while_its_supervisor_is_still_leaving(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    supervisor, last = folders.embedded(), folders.embedded()
    await supervisor.start()
    await last.start()
    is_not_last, may_go_on = threading.Event(), threading.Event()
    try_exclusive = supervisor._users.try_exclusive

    def pause_after() -> bool:
        alone = try_exclusive()
        is_not_last.set()
        assert may_go_on.wait(30)
        return alone

    monkeypatch.setattr(supervisor._users, "try_exclusive", pause_after)
    leaving = asyncio.create_task(supervisor.close())
    try:
        await eventually(is_not_last.is_set, "the supervisor has seen that it is not the last")
        await last.close()
        assert not alive(folders.process)
    finally:
        may_go_on.set()
        await leaving
