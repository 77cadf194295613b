"""mongomock as an asynchronous client, for tests without a server.

It keeps compare-and-set, `$max`, `$currentDate` and partial unique indexes. It shares nothing between processes, shows
no race (no operation is ever interrupted), and has no change streams, no read concerns, no outages of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import AutoReconnect, DuplicateKeyError

from persistence.driver.backend import ChangeStream, Update
from persistence.errors import ConfigurationError

WARNING = (
    "The database is mongomock: it lives in this process alone and shares nothing with other replicas, nothing of it "
    "survives the process, it shows no races, and it has no change streams. It is for tests only"
)

_servers: dict[str, Any] = {}
_METHODS = frozenset(
    {"insert_one", "insert_many", "find_one", "find_one_and_update", "update_one", "update_many", "delete_many"}
)
_INDEX_OPTIONS = frozenset({"key", "unique", "partialFilterExpression", "expireAfterSeconds"})


class MockBackend:
    """A mongomock client. Those with the same non-empty `server` see the same data, within this process.

    Attributes:
        down: Set by tests: every operation fails to connect.
        before: Set by tests: awaited before each operation, with its name, so that two actors can be stepped.
    """

    is_mock = True

    def __init__(self, server: str) -> None:
        mongomock = _import()
        store = _servers.setdefault(server, mongomock.store.ServerStore()) if server else None
        self._client = mongomock.MongoClient(tz_aware=True, _store=store)
        self.down = False
        self.before: Callable[[str], Any] | None = None

    async def pass_through(self, operation: str) -> None:
        """Let tests hold or fail the operation."""
        if self.before is not None:
            await self.before(operation)
        if self.down:
            raise AutoReconnect("a test has taken the database away")

    def raw(self, database: str, collection: str, *, linearizable: bool) -> Any:
        """Give a raw collection; every read is linearizable here."""
        return MockCollection(self, _naming_indexes(self._client[database][collection]))

    async def update_each(self, raw: Any, updates: Sequence[Update]) -> int:
        """Update one after the other: mongomock's `bulk_write` fails with this PyMongo."""
        matched = 0
        for where, update in updates:
            matched += (await raw.update_one(where, update)).matched_count
        return matched

    async def command(self, database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse: there are no commands here, and nothing needs one."""
        raise NotImplementedError("mongomock has no commands")

    async def hello(self) -> tuple[bool, datetime]:
        """Say that this is no replica set, and give the time that `$currentDate` would write."""
        await self.pass_through("hello")
        now: datetime = _import().utcnow()
        return False, now.replace(tzinfo=UTC)

    async def watch(self, raw: Any, pipeline: Sequence[Mapping[str, Any]], *, max_await_ms: int) -> ChangeStream:
        """Refuse: there are no change streams here."""
        raise NotImplementedError("mongomock has no change streams")

    async def close(self) -> None:
        """Forget nothing: others may use the same data."""


class MockCollection:
    """A mongomock collection with PyMongo's asynchronous methods."""

    def __init__(self, backend: MockBackend, collection: Any) -> None:
        self._backend = backend
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        method = getattr(self._collection, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._backend.pass_through(name)
            kwargs.pop("hint", None)  # it finds the same, by looking at every document
            return method(*args, **kwargs)

        return call

    async def create_index(self, keys: Sequence[tuple[str, int]], **options: Any) -> None:
        """Make an index, or leave it as it is; one whose time to live differs is made anew."""
        await self._backend.pass_through("create_index")
        name = options["name"]
        stored = self._collection.index_information().get(name)
        if stored is not None:
            wanted = {"key": list(keys), **options}
            # Made again it would be refused: mongomock then looks at all documents, whatever the index is limited to.
            if all(stored.get(option) == wanted.get(option) for option in _INDEX_OPTIONS):
                return
            if all(stored.get(option) == wanted.get(option) for option in _INDEX_OPTIONS - {"expireAfterSeconds"}):
                self._collection.drop_index(name)
        self._collection.create_index(keys, **options)

    def find(self, *args: Any, **kwargs: Any) -> MockCursor:
        """Give a cursor."""
        kwargs.pop("hint", None)
        return MockCursor(self._backend, self._collection.find(*args, **kwargs))


class MockCursor:
    """A mongomock cursor with what the verbs use of PyMongo's asynchronous one."""

    cursor_id = 0

    def __init__(self, backend: MockBackend, cursor: Any) -> None:
        self._backend = backend
        self._cursor = cursor

    async def to_list(self, length: int | None = None) -> list[Any]:
        """Give all that is left, or at most `length`."""
        await self._backend.pass_through("find")
        taken = []
        for document in self._cursor:
            taken.append(document)
            if len(taken) == length:
                break
        return taken


def _import() -> Any:
    try:
        import mongomock
    except ImportError as error:
        raise ConfigurationError(
            "mongomock is not installed: pip install mongomock, or set another mongodb_uri"
        ) from error
    module: Any = mongomock
    module.utcnow = _utcnow  # its documented place for another clock; its own asks in a way that Python deprecates
    return module


def _utcnow() -> datetime:
    # Here the wall clock is the server's, and so what stored times are.
    return datetime.now(UTC).replace(tzinfo=None)  # noqa: TID251


def _naming_indexes(collection: Any) -> Any:
    """Let a violated index be named in the error, as the server does; mongomock itself names none."""
    check = collection._ensure_uniques
    store = collection._store

    def violated(document: Any) -> str | None:
        every = store.indexes
        try:
            for name, index in every.items():
                store.indexes = {name: index}
                try:
                    check(document)
                except DuplicateKeyError:
                    return str(name)
        finally:
            store.indexes = every
        return None

    def check_by_name(document: Any) -> None:
        name = violated(document)
        if name is not None:
            raise DuplicateKeyError(f"E11000 duplicate key error index: {name} dup key", 11000)

    # Not `hasattr`: any attribute that a collection lacks is a collection below it.
    if "_ensure_uniques" not in vars(collection):
        collection._ensure_uniques = check_by_name
    return collection
