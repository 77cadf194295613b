"""The databases on which every store must keep its promises: mongomock always, a real server by both drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import pytest

from persistence.driver import Database, open_database
from persistence.indexes import ensure_indexes
from persistence.kernels import KernelStore
from persistence.sessions import SessionStore

SIXTY_YEARS = 60 * 365 * 86_400  # seconds; the times of tests are fixed ones, and must not be deleted as history

ON_SERVERS = [pytest.param(driver, marks=pytest.mark.mongod) for driver in ("pymongo", "motor")]


@dataclass(frozen=True)
class Backend:
    """What it takes to open one more client of the test's database."""

    uri: str
    name: str
    driver: Literal["pymongo", "motor"]
    is_mock: bool

    async def open(self) -> Database:
        """Open a client, as one more replica would. Close it."""
        return await open_database(
            self.uri, self.name, driver=self.driver, operation_timeout_seconds=5.0, app_name="contract"
        )


@pytest.fixture(params=["mongomock", *ON_SERVERS])
def backend(request: pytest.FixtureRequest) -> Backend:
    """A database of this test's own, still without collections."""
    if request.param == "mongomock":
        return Backend("mongomock://contract", request.getfixturevalue("database_name"), "pymongo", True)
    uri = request.getfixturevalue("mongod_uri")
    return Backend(uri, request.getfixturevalue("database_name"), request.param, False)


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    """The test's database with all indexes."""
    database = await backend.open()
    try:
        await ensure_indexes(database, history_seconds=SIXTY_YEARS)
        yield database
    finally:
        await database.close()


@pytest.fixture
def kernels(database: Database) -> KernelStore:
    """The store of kernels, empty."""
    return KernelStore(database)


@pytest.fixture
def sessions(database: Database) -> SessionStore:
    """The store of sessions, empty."""
    return SessionStore(database)
