"""Opens a database: chooses the client, connects, and says in a sentence what is wrong where that fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from logging import Logger, LoggerAdapter
from typing import Any

from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import OperationFailure

from persistence.driver import failures
from persistence.driver.address import MOCK, check_uri, mock_server, scheme, shown, without_secrets
from persistence.driver.backend import Backend
from persistence.driver.database import Database
from persistence.driver.mock import WARNING, MockBackend
from persistence.driver.servers import MotorBackend, PyMongoBackend, client_options
from persistence.errors import ConfigurationError, PersistenceError, StoreUnavailable

DRIVERS: dict[str, Callable[[str, dict[str, Any]], Backend]] = {"pymongo": PyMongoBackend, "motor": MotorBackend}
"""The drivers for real servers, by name."""

CONNECT_SECONDS = 10.0
"""How long the first connection may take, where the operation timeout is shorter: TLS and elections take their time."""

_TIMEOUTS = re.compile(r" \(configured timeouts:[^)]*\)")
_NOBODY_YET = re.compile(r"No .* found yet")  # as PyMongo has it while it waits for the first answer
_LOG = logging.getLogger("persistence.driver")


async def open_database(
    uri: str,
    name: str,
    *,
    driver: str = "pymongo",
    operation_timeout_seconds: float = 5.0,
    app_name: str = "enterprise-gateway",
    log: Logger | LoggerAdapter[Any] = _LOG,
) -> Database:
    """Open a database, and see that it answers and may be read.

    Args:
        uri: `mongodb://`, `mongodb+srv://`, or `mongomock://NAME`: those of one process with one name share their data.
        name: The database on that server.
        driver: One of `DRIVERS`; mongomock needs none.
        operation_timeout_seconds: Bounds every operation, its retries included.
        app_name: What the server's log calls this client.
        log: Told when the database goes and comes back.

    Raises:
        ConfigurationError: The URI, the driver or the user is wrong.
        StoreUnavailable: The server can't be reached, or has no primary.
    """
    backend = _backend(uri, driver, operation_timeout_seconds, app_name, log)
    seconds = operation_timeout_seconds
    database = Database(backend, name, is_replica_set=False, operation_timeout_seconds=seconds, log=log)
    try:
        await _connect(database, uri)
    except BaseException:
        await database.close()
        raise
    return database


def _backend(uri: str, driver: str, seconds: float, app_name: str, log: Logger | LoggerAdapter[Any]) -> Backend:
    check_uri(uri)
    if scheme(uri) == MOCK:
        log.warning(WARNING)
        return MockBackend(mock_server(uri))
    if driver not in DRIVERS:
        raise ConfigurationError(f"there is no driver {driver!r}: take one of {', '.join(DRIVERS)}")
    options = client_options(uri, operation_timeout_seconds=seconds, app_name=app_name)
    try:
        return DRIVERS[driver](uri, options)
    except (DriverConfigurationError, ValueError, TypeError) as error:
        raise ConfigurationError(f"mongodb_uri can't be used: {without_secrets(str(error), uri)}") from None


async def _connect(database: Database, uri: str) -> None:
    try:
        await database.first_contact(max(database.operation_timeout_seconds, CONNECT_SECONDS))
    except PersistenceError as error:
        raise _explained(error, uri, database.name) from error


def _explained(error: PersistenceError, uri: str, name: str) -> PersistenceError:
    cause = error.__cause__
    where = shown(uri)
    if isinstance(cause, OperationFailure) and cause.code == failures.AUTHENTICATION_FAILED:
        return ConfigurationError(f"the database at {where} refused the user or password of mongodb_uri")
    if isinstance(cause, OperationFailure) and cause.code == failures.UNAUTHORIZED:
        return ConfigurationError(f"the user of mongodb_uri may not read and write the database {name} at {where}")
    if isinstance(cause, DriverConfigurationError):
        return ConfigurationError(f"mongodb_uri can't be used: {without_secrets(str(cause), uri)}")
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(f"the database at {where} can't be reached: {_told(cause, uri) or error}")
    return error


def _told(cause: BaseException | None, uri: str) -> str:
    """Give the part of a driver's message that a person needs: which host, and why."""
    text = "" if cause is None else str(cause).partition(", Timeout:")[0]
    if _NOBODY_YET.fullmatch(text):
        return "it has given no answer"
    return without_secrets(_TIMEOUTS.sub("", text), uri)
