from __future__ import annotations

import logging
from pathlib import Path

import pytest
from traitlets import TraitError

from persistence import embedded, keys
from persistence.errors import ConfigurationError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.sealing import Sealer, generate_key
from persistence.testing import away, mock_store
from tests.cluster.processes import free_port

WITH_PASSWORD = "mongodb://ann:secret@127.0.0.1:{port}/admin?serverSelectionTimeoutMS=50"


class FakeMongod:
    """Stands in for the private mongod: a database that is there."""

    made: list[FakeMongod]

    def __init__(self, data_dir: Path, runtime_dir: Path | None, log: logging.Logger) -> None:
        self.data_dir = data_dir
        self.runtime_dir = runtime_dir
        self.closed = False
        self.uri = "mongomock://embedded"
        FakeMongod.made.append(self)

    async def start(self) -> str:
        return self.uri

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def mongods(monkeypatch: pytest.MonkeyPatch) -> list[FakeMongod]:
    FakeMongod.made = []
    monkeypatch.setattr(embedded, "EmbeddedMongod", FakeMongod)
    return FakeMongod.made


async def test_open_it_has_stores_a_clock_and_a_sealer() -> None:
    async with mock_store() as store:
        assert await store.kernels.list_live() == []
        assert await store.sessions.list_all() == []
        assert await store.replicas.list_all() == []
        assert store.clock.set
        assert store.available
        assert store.sealer.key_ids


async def test_before_it_is_open_it_is_not_available() -> None:
    assert not KernelSessionManager(mongodb_uri="mongomock://").available


async def test_closed_it_answers_as_a_database_that_is_away() -> None:
    async with mock_store() as store:
        pass
    assert not store.available
    with pytest.raises(StoreUnavailable):
        await store.kernels.list_live()


async def test_closing_twice_is_harmless() -> None:
    async with mock_store() as store:
        await store.close()


async def test_while_the_database_is_known_away_it_is_not_available() -> None:
    async with mock_store() as store:
        with away(store.database):
            with pytest.raises(StoreUnavailable):
                await store.kernels.list_live()
            assert not store.available


@pytest.mark.parametrize("uri", ["db:27017", "http://db", "mongo://ann:secret@db"])
def test_another_scheme_is_refused_without_showing_the_uri(uri: str) -> None:
    with pytest.raises(TraitError, match="mongodb_uri") as refused:
        KernelSessionManager(mongodb_uri=uri)
    assert "secret" not in str(refused.value)


def test_another_driver_is_refused() -> None:
    with pytest.raises(TraitError, match="driver"):
        KernelSessionManager(driver="pymysql")


def test_described_it_shows_no_password() -> None:
    store = KernelSessionManager(mongodb_uri="mongodb://ann:secret@db/?tls=true", database_name="gw")
    assert store.describe() == "gw (mongodb://db)"


def test_described_a_private_database_shows_its_directory(tmp_path: Path) -> None:
    assert KernelSessionManager(data_dir=str(tmp_path)).describe() == f"enterprise_gateway (private, {tmp_path})"


async def test_without_a_uri_the_private_database_is_started_and_stopped(
    mongods: list[FakeMongod], tmp_path: Path
) -> None:
    store = KernelSessionManager(data_dir=str(tmp_path / "data"), runtime_dir=str(tmp_path / "run"))
    assert store.embedded
    await store.open()
    assert (mongods[0].data_dir, mongods[0].runtime_dir) == (tmp_path / "data", tmp_path / "run")
    await store.close()
    assert mongods[0].closed


async def test_a_failed_start_leaves_no_private_database_behind(
    mongods: list[FakeMongod], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(self: FakeMongod) -> str:
        raise ConfigurationError("libcurl4 is missing")

    monkeypatch.setattr(FakeMongod, "start", start)
    with pytest.raises(ConfigurationError, match="libcurl4"):
        await KernelSessionManager(data_dir=str(tmp_path)).open()
    assert mongods[0].closed


async def test_beside_a_private_database_a_key_is_made_once_and_kept(mongods: list[FakeMongod], tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        store = KernelSessionManager(data_dir=str(tmp_path))
        await store.open()
        ids.append(store.sealer.key_ids)
        await store.close()
    assert ids[0] == ids[1]
    kept = tmp_path / keys.FILE_NAME
    assert kept.stat().st_mode & 0o777 == 0o600
    assert Sealer([kept.read_text()]).key_ids == ids[0]


async def test_a_shared_database_without_a_key_is_refused_with_the_command_that_makes_one() -> None:
    with pytest.raises(ConfigurationError, match=r"Fernet\.generate_key") as refused:
        await KernelSessionManager(mongodb_uri="mongodb://ann:secret@db/").open()
    assert "EG_SEALING_KEYS" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_keys_that_are_set_are_taken_everywhere(mongods: list[FakeMongod], tmp_path: Path) -> None:
    key = generate_key()
    store = KernelSessionManager(data_dir=str(tmp_path), sealing_keys=[key])
    await store.open()
    assert store.sealer.key_ids == Sealer([key]).key_ids
    await store.close()
    assert not (tmp_path / keys.FILE_NAME).exists()


async def test_a_key_that_is_none_is_refused_before_anything_is_started(
    mongods: list[FakeMongod], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="number 1"):
        await KernelSessionManager(data_dir=str(tmp_path), sealing_keys=["x"]).open()
    assert not mongods


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_server_that_is_not_there_is_told_in_a_sentence(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.driver.opening.CONNECT_SECONDS", 0.0)
    port = free_port()
    store = KernelSessionManager(
        mongodb_uri=WITH_PASSWORD.format(port=port),
        driver=driver,
        sealing_keys=[generate_key()],
        operation_timeout=0.3,
    )
    with pytest.raises(
        StoreUnavailable, match=rf"mongodb://127\.0\.0\.1:{port}/admin can't be reached: .*Errno 111"
    ) as told:
        await store.open()
    assert "secret" not in str(told.value)
    assert "Topology" not in str(told.value)


async def test_mongomock_warns_in_the_managers_own_log(caplog: pytest.LogCaptureFixture) -> None:
    async with mock_store():
        pass
    assert "mongomock" in caplog.text


async def test_two_with_one_name_share_their_data_and_others_do_not(database_name: str) -> None:
    shared = {"sealing_keys": [generate_key()]}
    async with (
        mock_store(database_name, **shared) as first,
        mock_store(database_name, **shared) as second,
        mock_store() as alone,
    ):
        await first.database.collection("things").insert({"_id": 1})
        assert await second.database.collection("things").find_one({}) == {"_id": 1}
        assert await alone.database.collection("things").find_one({}) is None
