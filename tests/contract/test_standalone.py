"""A standalone server with users: what a replica set can do and it can't, and who is refused at start."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import ConnectionFailure

from persistence.errors import ConfigurationError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.sealing import generate_key
from tests.cluster.processes import free_port
from tests.cluster.waiting import eventually_now

PASSWORD = "s3cret@here"
QUOTED = "s3cret%40here"


def _takes_commands(client: pymongo.MongoClient[dict[str, Any]]) -> bool:
    try:
        client.admin.command("ping")
    except ConnectionFailure:
        return False
    return True


@pytest.fixture(scope="module")
def address(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a standalone server with the user `gateway`, and `reader`, who may do less."""
    folder, port = tmp_path_factory.mktemp("standalone"), free_port()
    listen = ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
    files = ["--dbpath", str(folder), "--logpath", str(folder / "log"), "--wiredTigerCacheSizeGB", "0.25"]
    server = subprocess.Popen([mongod_binary, "--auth", *listen, *files], stdout=subprocess.DEVNULL)
    try:
        with pymongo.MongoClient[dict[str, Any]](port=port, serverSelectionTimeoutMS=500) as client:
            eventually_now(lambda: _takes_commands(client), "mongod takes commands")
            client.admin.command("createUser", "gateway", pwd=PASSWORD, roles=["root"])
        with pymongo.MongoClient[dict[str, Any]](f"mongodb://gateway:{QUOTED}@127.0.0.1:{port}") as client:
            client.admin.command("createUser", "reader", pwd=PASSWORD, roles=[{"role": "read", "db": "other"}])
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def store(uri: str, driver: str) -> KernelSessionManager:
    return KernelSessionManager(mongodb_uri=uri, driver=driver, sealing_keys=[generate_key()], operation_timeout=1.0)


both_drivers = pytest.mark.parametrize("driver", ["pymongo", "motor"])


@both_drivers
async def test_a_standalone_server_serves_all_but_change_streams(address: str, driver: str, database_name: str) -> None:
    manager = store(f"mongodb://gateway:{QUOTED}@{address}/?authSource=admin", driver)
    manager.database_name = database_name
    await manager.open()
    try:
        assert not manager.database.is_replica_set
        things = manager.database.collection("things")
        await things.insert({"_id": 1})
        assert await things.update_many_by_id([({"_id": 1}, {"$set": {"n": 1}})]) == 1
        assert await things.find({}, linearizable=True) == [{"_id": 1, "n": 1}]
        assert await manager.kernels.list_live() == []
    finally:
        await manager.close()


@both_drivers
@pytest.mark.parametrize(
    ("user", "refused"),
    [
        ("gateway:wrong%40@", "refused the user or password"),
        (f"reader:{QUOTED}@", "may not read and write the database enterprise_gateway"),
        ("", "may not read and write the database enterprise_gateway"),
    ],
)
async def test_who_may_not_is_told_so_at_start_without_his_password(
    address: str, driver: str, user: str, refused: str
) -> None:
    with pytest.raises(ConfigurationError, match=refused) as told:
        await store(f"mongodb://{user}{address}/?authSource=admin" if user else f"mongodb://{address}/", driver).open()
    assert "s3cret" not in str(told.value)
    assert "wrong" not in str(told.value)


# PyMongo forgets the socket of a failed handshake; it is collected here, so that no other test is blamed for it.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@both_drivers
async def test_tls_with_a_server_that_has_none_says_so(
    address: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.driver.opening.CONNECT_SECONDS", 0.0)
    with pytest.raises(StoreUnavailable, match="SSL handshake failed"):
        await store(f"mongodb://gateway:{QUOTED}@{address}/?authSource=admin&tls=true", driver).open()
    gc.collect()
