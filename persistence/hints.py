"""Hints that a collection may have changed. They only make a query run now that would run soon anyway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from logging import Logger, LoggerAdapter
from typing import Any

from persistence import clock
from persistence.driver import Database
from persistence.errors import PersistenceError, StoreUnavailable

_PAUSE_SECONDS = 1.0
_REST_SECONDS = 0.1  # then one answer of the server brings all that has changed meanwhile
_READ_SECONDS = 0.01
_SET = "updateDescription.updatedFields"


async def hints(
    database: Database,
    collection: str,
    *,
    fields: Sequence[str],
    log: Logger | LoggerAdapter[Any],
    known: Sequence[Mapping[str, Any]] = (),
) -> AsyncIterator[None]:
    """Yield, without end, each time that something of interest has changed, or may have while nobody watched.

    Where the database has no change streams it never yields. A stream that is cut off is opened anew.

    Args:
        database: Where the collection is.
        collection: Its name.
        fields: A change of one of these is of interest, and that a document is gone.
        log: Told why there are no hints.
        known: Changes that set these values, by dotted field, are of no interest: who watches made them himself. None
            stands for a field that is not set.
    """
    while database.is_replica_set:
        # Only that something happened is of interest: no document needs to travel.
        pipeline = (changes_of(fields, known), {"$project": {"_id": 1}})
        try:
            # The first one comes when the stream stands: what happened before would else be missed.
            rested = clock.monotonic()
            async for _ in database.collection(collection).watch(pipeline):
                yield None
                if clock.monotonic() - rested > _READ_SECONDS:
                    await clock.sleep(_REST_SECONDS)
                    rested = clock.monotonic()
        except StoreUnavailable as error:
            log.debug("The watch of %s was cut off: %s", collection, error)
        except PersistenceError as error:
            if not known:
                log.warning("There are no hints of changes: %s", error)
                break
            # Servers rewrite this stage, each version in its own way: rather too many hints than none.
            log.info("The database tells of a replica's own changes, too: %s", error)
            known = ()
            continue
        await clock.sleep(_PAUSE_SECONDS)
    await asyncio.Event().wait()


def changes_of(fields: Sequence[str], known: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Make the stage of a change stream that lets changes of these fields pass, and that a document is gone.

    Where a known value was there before, the server does not count it as set: then the change passes all the same.
    """
    changes: list[dict[str, Any]] = [{f"{_SET}.{field}": {"$exists": True}} for field in fields]
    changes += [{"updateDescription.removedFields": {"$in": list(fields)}}, {"operationType": "delete"}]
    # Without `$nor`: of several fields MongoDB 6.0 makes something of it that it then refuses itself.
    unknown = [{"$or": [{f"{_SET}.{field}": {"$ne": value}} for field, value in values.items()]} for values in known]
    return {"$match": {"$and": [{"$or": changes}, *unknown]}}
