"""The driver without a server: addresses, errors, and when the database is known away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from bson.errors import InvalidDocument
from pymongo import errors as pymongo_errors

from persistence import clock
from persistence.driver import Database, Index, check_uri, open_database, shown
from persistence.driver.address import without_secrets
from persistence.driver.availability import Availability
from persistence.driver.failures import translate, went_away
from persistence.driver.servers import client_options
from persistence.errors import ConfigurationError, DuplicateKey, PersistenceError, StoreUnavailable
from persistence.testing import Gate, away
from tests.cluster.waiting import eventually

LOG = logging.getLogger("test")
SECRET = "pa55:w@rd/x"
WITH_SECRET = f"mongodb://ann:{SECRET}@db1:27017,db2/admin?tls=true&authSource=admin"


@pytest.mark.parametrize("uri", ["mongodb://a", "mongodb+srv://a.b.c", "mongomock://", "MONGODB://a"])
def test_known_schemes_are_accepted(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize("uri", ["", "db:27017", "postgres://ann:secret@db", "mongodb:/secret"])
def test_other_schemes_are_refused_without_showing_the_uri(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="mongodb://") as refused:
        check_uri(uri)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("mongodb://db:27017/?replicaSet=rs", "mongodb://db:27017"),
        ("mongodb+srv://ann:secret@db.example.org/app?w=1", "mongodb+srv://db.example.org/app"),
        (WITH_SECRET, "mongodb://db1:27017,db2/admin"),
        ("mongodb://%2Frun%2Fx%2Fmongod.sock/", "mongodb:///run/x/mongod.sock"),
        ("mongomock://one", "mongomock://one"),
    ],
)
def test_an_address_is_shown_without_user_password_and_options(uri: str, text: str) -> None:
    assert shown(uri) == text


def test_secrets_are_taken_out_of_a_drivers_text() -> None:
    uri = "mongodb://ann:p%40ss@db/?tlsCertificateKeyFilePassword=k%2Fey"
    assert without_secrets("p%40ss p@ss k%2Fey k/ey", uri) == "*** *** *** ***"


@pytest.mark.parametrize(
    "error",
    [
        pymongo_errors.ServerSelectionTimeoutError("x"),
        pymongo_errors.NetworkTimeout("x"),
        pymongo_errors.AutoReconnect("x"),
        pymongo_errors.NotPrimaryError("x"),
        pymongo_errors.ExecutionTimeout("x", 50),
        pymongo_errors.WTimeoutError("x", 64),
        ConnectionResetError("x"),
    ],
)
def test_an_operation_that_timed_out_or_lost_its_server_means_that_the_database_is_away(error: Exception) -> None:
    assert isinstance(translate("find", error), StoreUnavailable)
    assert went_away(error)


@pytest.mark.parametrize(
    "error",
    [
        pymongo_errors.WriteConcernError("x", 100),
        pymongo_errors.WaitQueueTimeoutError("x"),
        pymongo_errors.OperationFailure("x", 11602),
        pymongo_errors.OperationFailure("x", 112),
        pymongo_errors.OperationFailure("x", 999, {"errorLabels": ["RetryableWriteError"]}),
        pymongo_errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}),
        pymongo_errors.BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": [{"code": 64}]}),
        pymongo_errors.BulkWriteError({"writeErrors": [{"code": 11000}, {"code": 11602}]}),
    ],
)
def test_passing_trouble_is_unavailable_but_the_next_operation_may_try(error: Exception) -> None:
    assert isinstance(translate("write", error), StoreUnavailable)
    assert not went_away(error)


@pytest.mark.parametrize(
    "error",
    [
        pymongo_errors.OperationFailure("x", 9),
        pymongo_errors.OperationFailure("x", 13),
        pymongo_errors.DocumentTooLarge("x"),
        pymongo_errors.BulkWriteError({"writeErrors": [{"code": 2, "errmsg": "x"}]}),
        pymongo_errors.BulkWriteError({"writeErrors": [{"code": 11000}, {"code": 2}]}),
        InvalidDocument("x"),
        OverflowError("x"),
        UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates"),
    ],
)
def test_what_is_refused_for_good_is_no_outage(error: Exception) -> None:
    assert type(translate("write", error)) is PersistenceError


@pytest.mark.parametrize(
    "error",
    [
        pymongo_errors.DuplicateKeyError(
            "E11000 duplicate key error collection: a.b index: user_slot dup key: {}", 11000
        ),
        pymongo_errors.BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": "a.b index: user_slot dup key"}]}),
    ],
)
def test_a_duplicate_names_the_index(error: Exception) -> None:
    duplicate = translate("insert", error)
    assert isinstance(duplicate, DuplicateKey)
    assert duplicate.index == "user_slot"


def test_the_text_of_an_error_quotes_no_document() -> None:
    error = pymongo_errors.OperationFailure("secret", 2, {"codeName": "BadValue", "errmsg": "secret"})
    assert str(translate("find", error)) == "find: the database refused it (OperationFailure, code 2 BadValue)"


def test_the_uri_may_change_only_what_costs_no_promise() -> None:
    uri = "mongodb://db/?appName=mine&connectTimeoutMS=7&w=1"
    options = client_options(uri, operation_timeout_seconds=2.0, app_name="ours")
    assert "appName" not in options
    assert "connectTimeoutMS" not in options
    assert (options["w"], options["journal"], options["readPreference"]) == ("majority", True, "primary")
    assert options["timeoutMS"] < 2000


class Ping:
    """A database that comes back when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.back = False
        self.failure: Exception = StoreUnavailable("still away")

    async def __call__(self) -> None:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await clock.sleep(0)
        self.at_once -= 1
        if not self.back:
            raise self.failure


@pytest.fixture
async def ping() -> Ping:
    return Ping()


@pytest.fixture
async def availability(ping: Ping) -> AsyncIterator[Availability]:
    availability = Availability(ping, operation_timeout_seconds=0.01, log=LOG)
    yield availability
    await availability.close()


async def test_while_it_is_known_away_operations_are_refused_at_once(availability: Availability) -> None:
    availability.check("find")
    availability.lost("timed out")
    assert not availability.available
    with pytest.raises(StoreUnavailable, match="find: the database is away"):
        availability.check("find")


async def test_one_search_is_enough_however_many_operations_failed(availability: Availability, ping: Ping) -> None:
    for _ in range(10):
        availability.lost("timed out")
    await eventually(lambda: ping.calls > 2, "some pings")
    assert ping.most_at_once == 1


async def test_the_ping_finds_it_back_and_tells(availability: Availability, ping: Ping) -> None:
    told = asyncio.Event()
    availability.on_return(told.set)
    availability.lost("timed out")
    await eventually(lambda: ping.calls > 1, "some pings")
    ping.back = True
    await told.wait()
    assert availability.available
    availability.check("find")


async def test_a_callback_that_fails_keeps_nobody_from_being_told(availability: Availability, ping: Ping) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))

    def fail() -> None:
        raise ValueError("mine")

    told = asyncio.Event()
    availability.on_return(fail)
    availability.on_return(told.set)
    ping.back = True
    availability.lost("timed out")
    await told.wait()
    assert [type(failure) for failure in failures] == [ValueError]


async def test_a_search_that_breaks_lets_operations_try_again(availability: Availability, ping: Ping) -> None:
    ping.failure = RuntimeError("a bug")
    availability.lost("timed out")
    await eventually(lambda: availability.available, "the search has ended")


async def test_closing_ends_the_search_and_refuses_operations(availability: Availability, ping: Ping) -> None:
    availability.lost("timed out")
    await availability.close()
    calls = ping.calls
    await clock.sleep(0)
    assert ping.calls == calls
    assert not availability.available
    with pytest.raises(StoreUnavailable, match="closed"):
        availability.check("find")


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await open_database("mongomock://", "test", operation_timeout_seconds=0.2)
    yield database
    await database.close()


async def test_an_outage_is_noticed_and_its_end_too(database: Database) -> None:
    things = database.collection("things")
    back = asyncio.Event()
    database.on_return(back.set)
    with away(database):
        with pytest.raises(StoreUnavailable, match="AutoReconnect"):
            await things.find_one({})
        with pytest.raises(StoreUnavailable, match="is away"):
            await things.find_one({})
    await back.wait()
    assert await things.find_one({}) is None


async def test_a_refusal_is_no_outage(database: Database) -> None:
    things = database.collection("things")
    await things.insert({"_id": 1})
    with pytest.raises(DuplicateKey):
        await things.insert({"_id": 1})
    assert database.available


async def test_an_operation_without_an_answer_ends_with_the_timeout(database: Database) -> None:
    gate = Gate(database)
    with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
        await database.collection("things").find_one({})
    assert not database.available
    gate.open()
    await eventually(lambda: database.available, "the database is found back")


async def test_a_cancelled_operation_is_cancelled_and_no_outage(database: Database) -> None:
    gate = Gate(database)
    reading = asyncio.create_task(database.collection("things").find_one({}))
    await eventually(lambda: not gate.idle, "it is held")
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert database.available


@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_clients_own_work_is_never_cancelled(database: Database, cancelled: bool) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.set()

    waiting = asyncio.create_task(database.run("work", work))
    await begun.wait()
    if cancelled:
        waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled() or isinstance(waiting.exception(), StoreUnavailable)
    go_on.set()
    await done.wait()


@pytest.mark.parametrize("driver", ["pymysql", ""])
async def test_an_unknown_driver_is_refused(driver: str) -> None:
    with pytest.raises(ConfigurationError, match="pymongo, motor"):
        await open_database("mongodb://db", "test", driver=driver)


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
@pytest.mark.parametrize(
    "uri",
    ["mongodb://ann:secret@db:port/", "mongodb://ann:sec ret@@db/", "mongodb://ann:secret@db/?tls=false&ssl=true"],
)
async def test_a_uri_that_makes_no_sense_is_refused_without_its_password(uri: str, driver: str) -> None:
    with pytest.raises(ConfigurationError, match="mongodb_uri") as refused:
        await open_database(uri, "test", driver=driver, operation_timeout_seconds=0.2)
    assert "sec" not in str(refused.value)


def test_mongomock_says_what_it_can_not_do(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        await (await open_database("mongomock://", "test")).close()

    asyncio.run(run())
    assert "survives" in caplog.text
    assert "change streams" in caplog.text


def test_an_index_says_only_what_it_needs() -> None:
    assert Index(name="plain", keys=("a",)).options() == {"name": "plain"}
    assert Index(name="full", keys=("a",), unique=True, partial={"a": 1}, expire_after_seconds=3).options() == {
        "name": "full",
        "unique": True,
        "partialFilterExpression": {"a": 1},
        "expireAfterSeconds": 3,
    }
