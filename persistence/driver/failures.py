"""Every error of the drivers, in the words of `persistence.errors`. The one place where they are told apart."""

from __future__ import annotations

import re

from bson.errors import BSONError
from pymongo import errors as driver

from persistence.errors import DuplicateKey, PersistenceError, StoreUnavailable

FAILURES = (driver.PyMongoError, BSONError, OSError, OverflowError, UnicodeError)
"""What a driver raises: its own, and what comes through it from sockets and from the encoding of a document."""

_INDEX_NAME = re.compile(r"index: (?P<name>\S+)")
_DUPLICATE_KEY = 11000

AUTHENTICATION_FAILED = 18
UNAUTHORIZED = 13

# Codes of a server that is well, but can't at the moment: shutting down, electing, interrupted. The same later works.
_PASSING_CODES = frozenset({24, 50, 64, 91, 112, 133, 134, 189, 202, 262, 290, 365, 384, 10107, 11600, 11601, 11602})
_PASSING_CODES |= {13435, 13436}


def translate(what: str, error: BaseException) -> PersistenceError:
    """Give our error for a driver's. Its text names the operation, and holds nothing of a document."""
    if isinstance(error, driver.BulkWriteError):
        return _of_bulk(what, error)
    if isinstance(error, driver.DuplicateKeyError):
        return DuplicateKey(_index(str(error)))
    if went_away(error) or _passing(error):
        return StoreUnavailable(f"{what}: the database gives no answer ({reason(error)})")
    return PersistenceError(f"{what}: the database refused it ({reason(error)})")


def went_away(error: BaseException) -> bool:
    """Say whether the operation timed out or failed to connect, so that the next one would too."""
    if isinstance(error, driver.WaitQueueTimeoutError):
        return False  # this replica's own pool was busy
    if isinstance(error, (driver.ConnectionFailure, OSError)):
        return True
    return isinstance(error, driver.PyMongoError) and error.timeout


def reason(error: BaseException) -> str:
    """Name an error for a log: its class and the server's code, never its text, which may quote a document."""
    name = type(error).__name__
    if isinstance(error, driver.OperationFailure) and error.code is not None:
        details = error.details or {}
        return f"{name}, code {error.code} {details.get('codeName', '')}".rstrip()
    return name


def _passing(error: BaseException) -> bool:
    # A write concern that was not satisfied: the write is made here, whether a majority will have it is unknown.
    if isinstance(error, (driver.WriteConcernError, driver.WaitQueueTimeoutError)):
        return True
    if not isinstance(error, driver.OperationFailure):
        return False
    return error.code in _PASSING_CODES or error.has_error_label("RetryableWriteError")


def _of_bulk(what: str, error: driver.BulkWriteError) -> PersistenceError:
    details = error.details or {}
    writes = details.get("writeErrors", [])
    codes = {write.get("code") for write in writes}
    if refused := codes - _PASSING_CODES - {_DUPLICATE_KEY}:
        return PersistenceError(f"{what}: the database refused it (codes {', '.join(sorted(map(str, refused)))})")
    if codes == {_DUPLICATE_KEY} and not details.get("writeConcernErrors"):
        return DuplicateKey(_index(str(writes[0].get("errmsg", ""))))
    # Of the other documents some may be lost with this primary.
    return StoreUnavailable(f"{what}: no majority has acknowledged it")


def _index(message: str) -> str:
    found = _INDEX_NAME.search(message)
    return found["name"] if found else "_id_"
