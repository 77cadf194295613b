"""What the name of a deployment promises, over mongomock and over a real server by both drivers."""

from __future__ import annotations

import asyncio

import pytest

from persistence.deployment import COLLECTION, deployment_id
from persistence.documents import SCHEMA
from persistence.driver import Database
from persistence.errors import PersistenceError


async def test_all_who_ask_are_told_the_same(database: Database) -> None:
    names = await asyncio.gather(*(deployment_id(database) for _ in range(5)))
    assert len(set(names)) == 1
    assert await database.collection(COLLECTION).find({}) == [{"_id": "deployment", "id": names[0], "schema": SCHEMA}]


async def test_what_a_newer_replica_keeps_beside_it_survives(database: Database) -> None:
    newer = {"_id": "deployment", "id": "d1", "novelty": 1, "schema": 99}
    await database.collection(COLLECTION).insert(newer)
    assert await deployment_id(database) == "d1"
    assert await database.collection(COLLECTION).find({}) == [newer]


async def test_the_name_that_a_version_without_a_schema_gave_stays(database: Database) -> None:
    await database.collection(COLLECTION).insert({"_id": "deployment", "id": "d1"})
    assert await deployment_id(database) == "d1"


async def test_something_else_than_a_name_is_refused(database: Database) -> None:
    await database.collection(COLLECTION).insert({"_id": "deployment"})
    with pytest.raises(PersistenceError, match="holds no id"):
        await deployment_id(database)
