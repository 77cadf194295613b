"""The verbs on one collection. All of them raise `StoreUnavailable` and `PersistenceError`, as the package says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from pymongo import ReturnDocument
from pymongo.errors import OperationFailure

from persistence.driver.backend import Backend, Document, Update, Where
from persistence.errors import DuplicateKey, PersistenceError

T = TypeVar("T")

Sort = Sequence[tuple[str, int]]

_ONE_BATCH = 1_000_000  # documents; the server also ends a batch at 16 MB
_INDEX_SECONDS = 60.0  # an index on a big collection is built while its replica waits to start
_OPTIONS_DIFFER = frozenset({85, 86})
_LONGEST_AWAIT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index as it should be."""

    name: str
    """What `DuplicateKey.index` says where it is violated."""
    keys: tuple[str, ...]
    """Fields, all ascending."""
    unique: bool = False
    partial: Mapping[str, Any] | None = None
    """Only documents that match it are in the index."""
    expire_after_seconds: int | None = None
    """Documents go some time after so many seconds from their one key's time: tidying, never logic."""

    def options(self) -> dict[str, Any]:
        """Give what PyMongo's `create_index` takes beside the keys."""
        options: dict[str, Any] = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.partial is not None:
            options["partialFilterExpression"] = dict(self.partial)
        if self.expire_after_seconds is not None:
            options["expireAfterSeconds"] = self.expire_after_seconds
        return options


class Bound(Protocol):
    """Runs an operation within its time, and maps what it raises."""

    operation_timeout_seconds: float
    is_replica_set: bool
    name: str

    async def run(self, what: str, operation: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        """Run it."""


class Collection:
    """One collection of the database. Documents and filters are plain dicts in the database's own field names."""

    def __init__(self, bound: Bound, backend: Backend, name: str) -> None:
        self._bound = bound
        self._backend = backend
        self.name = name
        self._raw = backend.raw(bound.name, name, linearizable=False)
        self._sure = backend.raw(bound.name, name, linearizable=True) if bound.is_replica_set else self._raw

    async def insert(self, document: Mapping[str, Any]) -> None:
        """Insert a document.

        Raises:
            DuplicateKey: A unique index refused it. After a lost answer that may be this very document.
        """
        await self._run("insert", lambda: self._raw.insert_one(dict(document)))

    async def insert_new(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Insert, in one round trip and in any order, those documents whose `_id` is not there yet."""
        inserted = [dict(document) for document in documents]
        with suppress(DuplicateKey):  # all others are inserted
            await self._run("insert new", lambda: self._raw.insert_many(inserted, ordered=False))

    async def find_one(
        self,
        where: Where,
        fields: Sequence[str] | None = None,
        *,
        linearizable: bool = False,
        hint: str | None = None,
    ) -> Document | None:
        """Read a document, or only some fields of it and its `_id`; None where none matches.

        Args:
            where: The filter.
            fields: Which fields; None: all.
            linearizable: Ask a majority, on a replica set: the answer can't be a deposed primary's.
            hint: Name of the index to use.
        """
        raw = self._sure if linearizable else self._raw
        options = {} if hint is None else {"hint": hint}
        return cast(
            Document | None, await self._run("find one", lambda: raw.find_one(where, _projection(fields), **options))
        )

    async def find(
        self,
        where: Where,
        fields: Sequence[str] | None = None,
        *,
        sort: Sort | None = None,
        limit: int = 0,
        linearizable: bool = False,
        hint: str | None = None,
    ) -> list[Document]:
        """Read all documents that match, or the first `limit`.

        Args:
            where: The filter.
            fields: Which fields; None: all.
            sort: Pairs of a field and 1 or -1.
            limit: At most so many; 0: all.
            linearizable: Ask a majority, on a replica set, and in one batch: later batches would not be linearizable.
            hint: Name of the index to use.

        Raises:
            PersistenceError: A linearizable answer does not fit into one batch of 16 MB: a part is not the whole.
        """
        options: dict[str, Any] = {"batch_size": _ONE_BATCH}  # the server's own first batch has 101 documents
        if hint is not None:
            options["hint"] = hint
        if linearizable:
            return await self._run(
                "find", lambda: _one_batch(_cursor(self._sure, where, fields, sort, limit, **options))
            )
        cursor = _cursor(self._raw, where, fields, sort, limit, **options)
        return cast(list[Document], await self._run("find", lambda: cursor.to_list(None)))

    async def find_one_and_update(
        self,
        where: Where,
        update: Mapping[str, Any],
        *,
        upsert: bool = False,
        fields: Sequence[str] | None = None,
    ) -> Document | None:
        """Make one compare-and-set; give the document as it is after it, or None where nothing matched.

        Raises:
            DuplicateKey: A unique index refused what it would become.
        """
        return cast(
            Document | None,
            await self._run(
                "find one and update",
                lambda: self._raw.find_one_and_update(
                    where,
                    update,
                    projection=_projection(fields),
                    upsert=upsert,
                    return_document=ReturnDocument.AFTER,
                ),
            ),
        )

    async def update_many(self, where: Where, update: Mapping[str, Any]) -> int:
        """Update all documents that match, and give their number. It is never sent twice by itself."""
        result = await self._run("update many", lambda: self._raw.update_many(where, update))
        return cast(int, result.matched_count)

    async def update_many_by_id(self, updates: Sequence[Update]) -> int:
        """Make many updates in one round trip, in any order.

        Args:
            updates: Pairs of a filter, which holds the `_id`, and an update.

        Returns:
            How many filters matched, in total.
        """
        if not updates:
            return 0
        return await self._run("update many by id", lambda: self._backend.update_each(self._raw, updates))

    async def delete_many(self, where: Where) -> int:
        """Delete all documents that match, and give their number."""
        result = await self._run("delete many", lambda: self._raw.delete_many(where))
        return cast(int, result.deleted_count)

    async def ensure_indexes(self, indexes: Sequence[Index]) -> None:
        """Make the indexes that are missing; harmless to repeat, and from many replicas at once.

        An index whose time to live differs is given the new one; the last that says it has its way.

        Raises:
            PersistenceError: There is another index of that name, or documents violate the new one.
        """
        for index in indexes:
            await self._run(f"make index {index.name}", partial(self._ensure, index), seconds=_INDEX_SECONDS)

    async def watch(self, pipeline: Sequence[Mapping[str, Any]] = ()) -> AsyncGenerator[Document | None]:
        """Yield None once the stream stands, then each change from there on. A hint only: it may be cut off any time.

        Raises:
            PersistenceError: The server has no change streams: a standalone one, or mongomock.
            StoreUnavailable: It was cut off.
        """
        if not self._bound.is_replica_set:
            raise PersistenceError("this database has no change streams")
        # A quarter: `timeoutMS` ends a stream whose server waits as long as the operation may last.
        max_await_ms = int(min(self._bound.operation_timeout_seconds / 4, _LONGEST_AWAIT_SECONDS) * 1000)
        stream = await self._run("watch", lambda: self._backend.watch(self._raw, pipeline, max_await_ms=max_await_ms))
        try:
            yield None
            while True:
                change = await self._run("watch", stream.try_next)
                if change is not None:
                    yield change
        finally:
            with suppress(PersistenceError):
                await self._run("end watch", stream.close)

    async def _ensure(self, index: Index) -> None:
        keys = [(field, 1) for field in index.keys]
        try:
            await self._raw.create_index(keys, **index.options())
        except OperationFailure as error:
            if error.code not in _OPTIONS_DIFFER or index.expire_after_seconds is None:
                raise
            change = {"name": index.name, "expireAfterSeconds": index.expire_after_seconds}
            await self._backend.command(self._bound.name, {"collMod": self.name, "index": change})

    async def _run(self, what: str, operation: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        return await self._bound.run(f"{self.name}: {what}", operation, seconds=seconds)


def _cursor(raw: Any, where: Where, fields: Sequence[str] | None, sort: Sort | None, limit: int, **options: Any) -> Any:
    return raw.find(where, _projection(fields), sort=list(sort) if sort else None, limit=limit, **options)


def _projection(fields: Sequence[str] | None) -> dict[str, int] | None:
    return None if fields is None else dict.fromkeys(fields, 1)


async def _one_batch(cursor: Any) -> list[Document]:
    # One document first: by then the first batch is here, and the cursor knows whether the server has more.
    documents: list[Document] = await cursor.to_list(1)
    if cursor.cursor_id:
        await cursor.close()
        raise PersistenceError("the list is too long for one answer of the database")
    if documents:
        documents += await cursor.to_list(None)
    return documents
