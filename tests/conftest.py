"""Fixtures of all tests: a clean environment, a real mongod, and what is done where a program is missing."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from hypothesis import HealthCheck, settings

from enterprise_gateway.relay.sockets import raise_file_limit
from tests import requirements
from tests.replica_set import ReplicaSet

settings.register_profile(
    # The same examples in each run, however slow the machine; others with --soak.
    "steady",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", settings.get_profile("steady"), derandomize=False)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("--soak") else "steady")
    requirements.check_demands()
    raise_file_limit()  # 1,024, a usual one, is not enough for the mongod that all tests share
    # Else pytest-asyncio, when a test that is not async comes first, makes a loop by the way and never closes it.
    asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run what is marked soak, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long; mark what uses a mongod by a fixture, so that `-m "not mongod"` leaves that out."""
    if not config.getoption("--soak"):
        items[:] = [item for item in items if item.get_closest_marker("soak") is None]
    for item in items:
        if {"mongod_binary", "mongod_uri", "replica_set"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("mongod")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in requirements.NAMES:
        if item.get_closest_marker(name) is not None:
            requirements.require(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    lines = requirements.summary(reasons)
    if lines:
        terminalreporter.section("not tested", yellow=True, bold=True)
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own gateway, nor of a kernel he may be in, reaches a test."""
    for name in list(os.environ):
        if name.startswith(("EG_", "KERNEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mongod_binary() -> Path:
    """A mongod that runs here."""
    return requirements.require("mongod")


@pytest.fixture(scope="session")
def mongod_uri(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a real one-node replica set, one for all tests of this process. Take a `database_name` with it.

    Tests that stop, pause or misconfigure a server take `replica_set`, which is theirs alone.
    """
    with ReplicaSet(mongod_binary, tmp_path_factory.mktemp("mongod")) as server:
        yield server.uri


@pytest.fixture
def replica_set(mongod_binary: Path, tmp_path: Path) -> Iterator[ReplicaSet]:
    """A running server of this test's own, to be killed, paused and started again."""
    with ReplicaSet(mongod_binary, tmp_path / "mongod") as server:
        yield server


@pytest.fixture
def database_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name that no other test uses; what was made under it on the common server is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    # Before the test, so that the server still runs when this fixture ends.
    uri = request.getfixturevalue("mongod_uri") if "mongod_uri" in request.fixturenames else None
    yield name
    if uri is not None:
        with pymongo.MongoClient[dict[str, object]](uri) as client:
            client.drop_database(name)
