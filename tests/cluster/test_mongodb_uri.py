"""A MongoDB that speaks TLS only and asks for a user and password, by address and by a name in `mongodb_uri`."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import ConnectionFailure

from persistence.errors import StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.sealing import generate_key
from tests.certificates import self_signed
from tests.cluster import light_kernels
from tests.cluster.light_kernels import LIGHT
from tests.cluster.processes import free_port
from tests.cluster.replicas import ROOT, Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually_now
from tests.name_server import name_server, site_that_asks

PASSWORD = "s3cret"
HOST = "member-0.mongodb.test"
"""Another name of the server, for those who ask a name server."""


@dataclass(frozen=True)
class Secured:
    """A running server, with the certificate that it shows and one that it does not."""

    port: int
    own: Path
    others: Path

    def uri(self, authority: Path, user: str | None = "root", database: str = "admin") -> str:
        """As an operator writes it, for a user of that database."""
        credentials = f"{user}:{PASSWORD}@" if user else ""
        return f"mongodb://{credentials}127.0.0.1:{self.port}/{database}?tls=true&tlsCAFile={authority}"


@pytest.fixture(scope="module")
def secured(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A standalone server that takes TLS connections alone, and lets nobody in without a password."""
    folder = tmp_path_factory.mktemp("secured")
    made = Secured(free_port(), folder / "own.pem", folder / "others.pem")
    certificate, key = self_signed(HOST)
    made.own.write_bytes(certificate)
    made.others.write_bytes(self_signed()[0])
    (folder / "server.pem").write_bytes(certificate + key)
    listen = ["--bind_ip", "127.0.0.1", "--port", str(made.port), "--nounixsocket", "--auth"]
    tls = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(folder / "server.pem")]
    files = ["--dbpath", str(folder), "--logpath", str(folder / "log"), "--wiredTigerCacheSizeGB", "0.25"]
    server = subprocess.Popen([mongod_binary, *listen, *tls, *files], stdout=subprocess.DEVNULL)
    try:
        with _client(made.uri(made.own, user=None)) as client:
            eventually_now(lambda: _takes_commands(client), "mongod takes commands")
            client.admin.command("createUser", "root", pwd=PASSWORD, roles=["root"])
        yield made
    finally:
        server.kill()
        server.wait()


def _client(uri: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(uri, serverSelectionTimeoutMS=500)


def _takes_commands(client: pymongo.MongoClient[dict[str, Any]]) -> bool:
    try:
        client.admin.command("ping")
    except ConnectionFailure:
        return False
    return True


async def test_a_replica_serves_kernels_over_tls_as_a_user_of_its_database_alone(secured: Secured) -> None:
    with Cluster(secured.uri(secured.own), settings=light_kernels.SETTINGS) as cluster:
        with _client(secured.uri(secured.own)) as client:
            client[cluster.database].command("createUser", "gw", pwd=PASSWORD, roles=["readWrite"])
        light_kernels.install(cluster)
        cluster.start(settings={"EG_MONGODB_URI": secured.uri(secured.own, "gw", cluster.database)})
        async with Rest(cluster.urls, cluster.token) as rest:
            kernel_id = await rest.start(name=LIGHT)
            assert await rest.run(kernel_id, "print(6 * 7)") == "42"
        assert [record["_id"] for record in cluster.documents("kernels")] == [kernel_id]


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_replica_finds_its_servers_and_their_options_by_the_records_of_a_name(
    secured: Secured, driver: str, tmp_path: Path
) -> None:
    """TLS is what `mongodb+srv` implies, the database of the user what the name's TXT record says."""
    records = {
        ("_mongodb._tcp.db.mongodb.test", "SRV"): f"0 0 {secured.port} {HOST}.",
        ("db.mongodb.test", "TXT"): '"authSource=admin"',
        (HOST, "A"): "127.0.0.1",
    }
    uri = f"mongodb+srv://root:{PASSWORD}@db.mongodb.test/?tlsCAFile={secured.own}"
    with name_server(records) as port, Cluster(secured.uri(secured.own), settings=light_kernels.SETTINGS) as cluster:
        light_kernels.install(cluster)
        path = f"{site_that_asks(port, tmp_path)}:{ROOT}"
        cluster.start(settings={"EG_MONGODB_URI": uri, "EG_MONGODB_DRIVER": driver, "PYTHONPATH": path})
        async with Rest(cluster.urls, cluster.token) as rest:
            kernel_id = await rest.start(name=LIGHT)
            assert await rest.run(kernel_id, "print(6 * 7)") == "42"
        assert [record["_id"] for record in cluster.documents("kernels")] == [kernel_id]
        assert "mongodb+srv://db.mongodb.test" in cluster.replicas[0].log


async def test_a_name_without_records_ends_the_start_with_a_sentence(secured: Secured, tmp_path: Path) -> None:
    uri = f"mongodb+srv://root:{PASSWORD}@nowhere.mongodb.test/"
    with name_server({}) as port, Cluster(secured.uri(secured.own)) as cluster:
        path = f"{site_that_asks(port, tmp_path)}:{ROOT}"
        replica = cluster.launch({"EG_MONGODB_URI": uri, "PYTHONPATH": path})
        eventually_now(lambda: not replica.running, "the gateway has given up")
        assert replica.stop() == 1
        assert "mongodb_uri can't be used: The DNS query name does not exist: _mongodb._tcp.nowhere" in replica.log
        assert PASSWORD not in replica.log


# PyMongo forgets the socket of a failed handshake; it is collected here, so that no other test is blamed for it.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_server_of_another_authority_is_refused_in_a_sentence_without_the_password(
    secured: Secured, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.driver.opening.CONNECT_SECONDS", 0.0)
    uri = secured.uri(secured.others)
    store = KernelSessionManager(mongodb_uri=uri, driver=driver, sealing_keys=[generate_key()], operation_timeout=1.0)
    with pytest.raises(StoreUnavailable, match=r"can't be reached: .*certificate verify failed") as refused:
        await store.open()
    assert f"the database at mongodb://127.0.0.1:{secured.port}/admin " in str(refused.value)
    assert PASSWORD not in str(refused.value)
    gc.collect()
