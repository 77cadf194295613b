"""What is said when a private mongod can't be had."""

from pathlib import Path

import pytest

from persistence.embedded import EmbeddedMongod, MongodFailed, replica
from persistence.embedded.locks import FileLock
from persistence.embedded.state import ServerState, write_state
from persistence.errors import ConfigurationError
from tests.contract.embedded.actors import Folders, alive, fake_mongod


async def test_without_a_mongod_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    def none() -> Path:
        raise ConfigurationError("No mongod was found")

    monkeypatch.setattr("persistence.embedded.server.find_mongod", none)
    mongod = folders.embedded()
    with pytest.raises(ConfigurationError, match="No mongod was found"):
        await mongod.start()
    await mongod.close()


@pytest.mark.parametrize(
    ("line", "exit_code", "told"),
    [
        ('{"s":"E","msg":"WiredTiger error message","attr":{"error":28,"message":"write"}}', 14, "its disk is full"),
        ('{"s":"F","msg":"x","attr":{"error":"No space left on device"}}', 100, "its disk is full"),
        ("Writing to log file failed, aborting application", 1, "its disk is full"),
        ('{"s":"F","msg":"UPGRADE PROBLEM","attr":{"error":"BadValue"}}', 62, "another version of MongoDB"),
        ('{"s":"E","msg":"end","attr":{"error":"DBPathInUse: locked"}}', 100, "another mongod uses its data"),
        ('{"s":"E","msg":"Cannot bind","attr":{"error":"odd"}}', 48, "ends with: Cannot bind: odd"),
    ],
)
async def test_a_mongod_that_does_not_start_is_explained(
    folders: Folders, line: str, exit_code: int, told: str
) -> None:
    mongod = folders.embedded(binary=fake_mongod(folders.root / "mongod", log_line=line, exit_code=exit_code))
    with pytest.raises(MongodFailed) as caught:
        await mongod.start()
    assert told in str(caught.value)
    assert f"ended with {exit_code}" in str(caught.value)
    assert str(folders.data / "mongod.log") in str(caught.value)
    await mongod.close()


async def test_what_was_logged_before_this_start_explains_nothing(folders: Folders) -> None:
    folders.data.mkdir()
    (folders.data / "mongod.log").write_text('{"s":"F","msg":"x","attr":{"error":"No space left on device"}}\n')
    mongod = folders.embedded(binary=fake_mongod(folders.root / "mongod"))
    with pytest.raises(MongodFailed, match="see the end of its log"):
        await mongod.start()
    await mongod.close()


@pytest.mark.mongod
async def test_data_that_another_mongod_has_open_are_left_to_it(embedded: EmbeddedMongod, folders: Folders) -> None:
    await embedded.start()
    state_file = folders.data / "mongod.json"
    kept = state_file.read_bytes()
    # As if the file was lost, and the lock too: on another host, say.
    state_file.unlink()
    (folders.data / "supervisor.lock").unlink()
    other = folders.embedded()
    with pytest.raises(MongodFailed, match="another mongod uses its data"):
        await other.start()
    await other.close()
    state_file.write_bytes(kept)
    assert alive(folders.process)


async def test_a_runtime_path_too_long_for_a_socket_is_refused_before_anything_starts(folders: Folders) -> None:
    folders.runtime = folders.root / ("x" * 90)
    mongod = folders.embedded()
    with pytest.raises(ConfigurationError, match=r"has 1[0-9]+ bytes, of which Unix sockets have at most 107"):
        await mongod.start()
    assert not folders.data.exists()
    await mongod.close()


@pytest.mark.parametrize("taken", ["data", "runtime"])
async def test_a_directory_that_can_not_be_made_is_named(folders: Folders, taken: str) -> None:
    getattr(folders, taken).write_text("a file")
    mongod = folders.embedded(binary=fake_mongod(folders.root / "mongod"))
    with pytest.raises(ConfigurationError, match=f"the directory .*{getattr(folders, taken)}.* can't be used"):
        await mongod.start()
    await mongod.close()


async def test_a_data_directory_in_use_elsewhere_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    monkeypatch.setattr(replica, "_ELSEWHERE_SECONDS", 0.1)
    folders.data.mkdir()
    elsewhere = {"data_dir": str(folders.data), "place": "another boot", "socket": "/run/m.sock"}
    state = ServerState(**elsewhere, pid=1, start_ticks=1, version="6.0.5", ready=True)
    write_state(folders.data / "mongod.json", state)
    lock = FileLock(folders.data / "supervisor.lock")
    assert lock.try_exclusive()
    mongod = folders.embedded()
    with pytest.raises(ConfigurationError, match=r"on another host or in another container.*EG_MONGODB_URI"):
        await mongod.start()
    await mongod.close()
    lock.release()
