"""Hints that a collection may have changed. They only make a query run now that would run soon anyway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from logging import Logger, LoggerAdapter
from typing import Any

from persistence import clock
from persistence.driver import Database
from persistence.errors import PersistenceError, StoreUnavailable

_PAUSE_SECONDS = 1.0

# Only that something happened is of interest: no document needs to travel.
_NOTHING_ELSE = ({"$project": {"_id": 1}},)


async def hints(database: Database, collection: str, *, log: Logger | LoggerAdapter[Any]) -> AsyncIterator[None]:
    """Yield, without end, each time that the collection has changed, or may have while nobody watched.

    Where the database has no change streams it never yields. A stream that is cut off is opened anew.
    """
    while database.is_replica_set:
        try:
            # The first one comes when the stream stands: what happened before would else be missed.
            async for _ in database.collection(collection).watch(_NOTHING_ELSE):
                yield None
        except StoreUnavailable as error:
            log.debug("The watch of %s was cut off: %s", collection, error)
        except PersistenceError as error:
            log.warning("There are no hints of changes: %s", error)
            break
        await clock.sleep(_PAUSE_SECONDS)
    await asyncio.Event().wait()
