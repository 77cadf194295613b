import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedMongod
from tests.contract.embedded.actors import Folders, Replica, kill_mongod


@pytest.fixture
def folders() -> Iterator[Folders]:
    """Not pytest's own: their paths are too long for a socket. What still runs in them is killed."""
    root = Path(tempfile.mkdtemp(prefix="eg-", dir="/tmp"))
    yield Folders(root)
    for state_file in root.glob("*/mongod.json"):
        kill_mongod(state_file)
    shutil.rmtree(root)


@pytest.fixture
async def embedded(folders: Folders) -> AsyncIterator[EmbeddedMongod]:
    mongod = folders.embedded()
    yield mongod
    await mongod.close()


@pytest.fixture
def start_replica(folders: Folders) -> Iterator[Callable[[], Replica]]:
    replicas: list[Replica] = []

    def start() -> Replica:
        replicas.append(Replica(folders))
        return replicas[-1]

    yield start
    for each in replicas:
        each.end()
