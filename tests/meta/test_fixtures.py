"""The fixtures that other tests rest on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import OperationFailure

from tests.cluster.waiting import eventually_now
from tests.replica_set import ReplicaSet

STARTER = """
import sys, signal
from pathlib import Path
from tests.replica_set import ReplicaSet
server = ReplicaSet(Path(sys.argv[1]), Path(sys.argv[2]))
server.start()
print(server.port, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("name", ["EG_PORT", "KERNEL_USERNAME"])
def test_settings_of_the_developers_own_gateway_reach_no_test(name: str) -> None:
    assert name not in os.environ


def test_the_common_server_takes_majority_writes_and_has_change_streams(mongod_uri: str, database_name: str) -> None:
    with pymongo.MongoClient[dict[str, object]](mongod_uri, w="majority") as client:
        collection = client[database_name]["things"]
        with collection.watch() as changes:
            collection.insert_one({"_id": 1})
            assert changes.next()["documentKey"] == {"_id": 1}


def test_a_killed_server_keeps_what_it_acknowledged(replica_set: ReplicaSet) -> None:
    with pymongo.MongoClient[dict[str, object]](replica_set.uri, w="majority") as client:
        client["kept"]["things"].insert_one({"_id": 1})
        replica_set.kill()
        replica_set.start()
        assert client["kept"]["things"].find_one() == {"_id": 1}


def test_a_server_fails_on_purpose_as_often_as_asked(replica_set: ReplicaSet) -> None:
    replica_set.fail(["insert"], errorCode=8)
    with replica_set.client() as client:
        things = client["any"]["things"]
        with pytest.raises(OperationFailure):
            things.insert_one({"_id": 1})
        things.insert_one({"_id": 2})


@pytest.mark.mongod
def test_a_server_dies_with_the_process_that_started_it(mongod_binary: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(mongod_binary), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
    server = pymongo.MongoClient[dict[str, object]](f"mongodb://127.0.0.1:{port}", serverSelectionTimeoutMS=1)
    with server:
        eventually_now(lambda: not _answers(server), "the server is gone")


def _answers(client: pymongo.MongoClient[dict[str, object]]) -> bool:
    try:
        client.admin.command("ping")
    except pymongo.errors.ConnectionFailure:
        return False
    return True
