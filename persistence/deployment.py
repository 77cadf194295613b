"""The name of a deployment: a random id that is made once in its database and is the same for all of its replicas.

Processes and pods carry it, so that of two deployments on one host (or in one namespace) none takes the other's for
its own.
"""

from __future__ import annotations

from uuid import uuid4

from persistence.documents import SCHEMA
from persistence.driver import Database
from persistence.errors import DuplicateKey, PersistenceError

COLLECTION = "deployment"
_ONLY = "deployment"


async def deployment_id(database: Database) -> str:
    """Give the deployment's id; the first replica ever makes it.

    Raises:
        StoreUnavailable: The database gave no answer in time.
        PersistenceError: Something else than an id is there.
    """
    collection = database.collection(COLLECTION)
    where = {"_id": _ONLY}
    made = {"id": uuid4().hex, "schema": SCHEMA}
    try:
        found = await collection.find_one_and_update(where, {"$setOnInsert": made}, upsert=True)
    except DuplicateKey:  # another replica's upsert was faster
        found = await collection.find_one(where)
    if found is None or not isinstance(found.get("id"), str):
        raise PersistenceError("the deployment's document holds no id")
    name: str = found["id"]
    return name
