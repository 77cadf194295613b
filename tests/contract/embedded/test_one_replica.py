"""A private mongod that one replica uses."""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from pymongo.read_concern import ReadConcern

from persistence.embedded import EmbeddedMongod
from tests.cluster.waiting import eventually
from tests.contract.embedded.actors import Client, Folders, alive, member_names, mode, note, notes


@pytest.mark.mongod
async def test_a_new_database_takes_majority_writes_at_once(embedded: EmbeddedMongod) -> None:
    uri = await embedded.start()
    await note(uri, "first")
    assert await notes(uri) == ["first"]


@pytest.mark.mongod
async def test_it_is_a_replica_set_with_linearizable_reads_and_change_streams(embedded: EmbeddedMongod) -> None:
    uri = await embedded.start()
    async with Client(uri, w="majority") as client:
        things = client["gateway"]["things"]
        async with await things.watch() as changes:
            await things.insert_one({"_id": 1})
            assert (await changes.next())["documentKey"] == {"_id": 1}
        surely = things.with_options(read_concern=ReadConcern("linearizable"))
        assert await surely.find_one() == {"_id": 1}


@pytest.mark.mongod
async def test_it_listens_on_one_socket_of_its_user_alone_and_on_no_port(
    embedded: EmbeddedMongod, folders: Folders
) -> None:
    await embedded.start()
    assert not _ports(folders.process.pid)
    assert mode(folders.socket) == 0o700
    assert mode(folders.socket.parent) == 0o700


def _ports(pid: int) -> set[str]:
    """The local addresses of all internet sockets of a process."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed since it was listed; those that listen stay open
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6", "udp", "udp6")]
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    return {row[1] for row in rows if row[9] in inodes}


@pytest.mark.mongod
async def test_its_files_are_its_users_alone(embedded: EmbeddedMongod, folders: Folders) -> None:
    await embedded.start()
    assert mode(folders.data) == 0o700
    assert mode(folders.data / "db") == 0o700
    assert {path.name for path in folders.data.iterdir() if path.is_file() and mode(path) & 0o077} == set()


@pytest.mark.mongod
async def test_it_has_a_session_of_its_own_and_none_of_its_starters_secrets(
    monkeypatch: pytest.MonkeyPatch, embedded: EmbeddedMongod, folders: Folders
) -> None:
    monkeypatch.setenv("EG_AUTH_TOKEN", "hush")
    await embedded.start()
    pid = folders.process.pid
    assert os.getsid(pid) == pid
    assert "hush" not in _environment(pid)


def _environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


@pytest.mark.mongod
async def test_a_clean_exit_of_the_only_replica_stops_mongod(folders: Folders) -> None:
    mongod = folders.embedded()
    await mongod.start()
    await mongod.close()
    assert not alive(folders.process)
    assert not folders.socket.exists()


@pytest.mark.mongod
async def test_data_survive_a_clean_restart(folders: Folders) -> None:
    for name in ("first", "second"):
        mongod = folders.embedded()
        uri = await mongod.start()
        await note(uri, name)
        seen = await notes(uri)
        await mongod.close()
    assert seen == ["first", "second"]


async def test_closing_one_that_never_started_is_harmless(folders: Folders) -> None:
    mongod = folders.embedded()
    await mongod.close()
    await mongod.close()


@pytest.mark.mongod
async def test_a_killed_mongod_comes_back_with_its_data_under_the_same_uri(
    embedded: EmbeddedMongod, folders: Folders
) -> None:
    uri = await embedded.start()
    await note(uri, "before")
    former = folders.process
    async with Client(uri) as client:
        os.kill(former.pid, signal.SIGKILL)
        await eventually(lambda: folders.replaced(former), "another mongod runs")
        assert await client["gateway"]["notes"].find_one() == {"_id": "before"}


@pytest.mark.mongod
async def test_a_mongod_whose_socket_was_removed_is_replaced(
    monkeypatch: pytest.MonkeyPatch, embedded: EmbeddedMongod, folders: Folders
) -> None:
    monkeypatch.setattr("persistence.embedded.server._CHECK_SECONDS", 0.05)
    uri = await embedded.start()
    await note(uri, "before")
    former = folders.process
    folders.socket.unlink()
    await eventually(lambda: folders.replaced(former), "another mongod runs")
    assert await notes(uri) == ["before"]


@pytest.mark.mongod
async def test_a_log_that_has_grown_is_put_aside_while_mongod_runs(
    monkeypatch: pytest.MonkeyPatch, embedded: EmbeddedMongod, folders: Folders
) -> None:
    monkeypatch.setattr("persistence.embedded.server._CHECK_SECONDS", 0.05)
    monkeypatch.setattr("persistence.embedded.log.LARGEST_LOG_BYTES", 2000)
    await embedded.start()
    log = folders.data / "mongod.log"
    await eventually(log.with_name("mongod.log.1").exists, "the log was put aside")
    await eventually(log.exists, "mongod has opened another")


@pytest.mark.mongod
async def test_a_data_directory_that_was_moved_works_under_its_new_name(folders: Folders) -> None:
    mongod = folders.embedded()
    await note(await mongod.start(), "before")
    await mongod.close()
    folders.data = folders.data.rename(folders.root / "moved")
    mongod = folders.embedded()
    uri = await mongod.start()
    try:
        assert await notes(uri) == ["before"]
        assert await member_names(uri) == [folders.state.socket]
        await note(uri, "after")
    finally:
        await mongod.close()


@pytest.mark.mongod
async def test_another_runtime_directory_is_taken_at_the_next_start(folders: Folders) -> None:
    mongod = folders.embedded()
    await note(await mongod.start(), "before")
    await mongod.close()
    folders.runtime = folders.root / "elsewhere"
    mongod = folders.embedded()
    uri = await mongod.start()
    try:
        assert folders.state.socket.startswith(f"{folders.runtime}/")
        assert await member_names(uri) == [folders.state.socket]
        assert await notes(uri) == ["before"]
    finally:
        await mongod.close()


@pytest.mark.mongod
async def test_a_later_replica_takes_the_socket_of_the_mongod_that_runs(
    embedded: EmbeddedMongod, folders: Folders
) -> None:
    uri = await embedded.start()
    folders.runtime = folders.root / "elsewhere"
    other = folders.embedded()
    assert await other.start() == uri
    await other.close()


@pytest.mark.mongod
async def test_a_copy_of_a_data_directory_in_use_gets_a_mongod_of_its_own(
    embedded: EmbeddedMongod, folders: Folders
) -> None:
    original = await embedded.start()
    process = folders.process
    copy = Folders(folders.root)
    copy.data = folders.root / "copy"
    copy.data.mkdir()
    shutil.copy(folders.data / "mongod.json", copy.data)
    other = copy.embedded()
    try:
        assert await other.start() != original
        assert copy.process != process
    finally:
        await other.close()
    assert alive(process)


@pytest.mark.mongod
async def test_a_start_that_is_cancelled_leaves_no_mongod_and_no_lock(folders: Folders) -> None:
    cancelled = folders.embedded()
    start = asyncio.create_task(cancelled.start())
    await eventually((folders.data / "mongod.json").exists, "mongod was recorded")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not alive(folders.process)
    await cancelled.close()
    other = folders.embedded()
    await other.start()
    await other.close()
