"""Clients of real servers: PyMongo's asynchronous one, and Motor, an adapter of a few lines.

Both are PyMongo underneath and are opened with the same options. What keeps an operation within its time is `timeoutMS`
(retries, server selection, connecting and the server's own `maxTimeMS` share it) in both of them; Motor runs it in a
thread, which goes on until then even where nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pymongo import AsyncMongoClient, UpdateOne
from pymongo.read_concern import ReadConcern

from persistence.driver.address import option_names
from persistence.driver.backend import HEAD_START, ChangeStream, Update
from persistence.driver.closing import to_the_end
from persistence.errors import ConfigurationError

_LINEARIZABLE = ReadConcern("linearizable")
_LOCAL = ReadConcern("local")
_MAJORITY = ReadConcern("majority")  # the only one that change streams have

_SHORTEST_CONNECT_SECONDS = 2.0
_HEARTBEAT_SECONDS = 2.0


class PyMongoBackend:
    """PyMongo's `AsyncMongoClient`. It belongs to the event loop that first uses it."""

    is_mock = False

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self._client: Any = AsyncMongoClient(uri, **options)

    def raw(self, database: str, collection: str, *, linearizable: bool) -> Any:
        """Give a raw collection."""
        concern = _LINEARIZABLE if linearizable else _LOCAL
        return self._client.get_database(database).get_collection(collection, read_concern=concern)

    async def update_each(self, raw: Any, updates: Sequence[Update]) -> int:
        """Send one unordered bulk write."""
        result = await raw.bulk_write([UpdateOne(where, update) for where, update in updates], ordered=False)
        return cast(int, result.matched_count)

    async def command(self, database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a command on the primary."""
        return cast(Mapping[str, Any], await self._client.get_database(database).command(dict(command)))

    async def hello(self) -> tuple[bool, datetime]:
        """Ask the primary what it is, and for its time."""
        answer = await self.command("admin", {"hello": 1})
        # Not aware: a command's answer is decoded without the client's options.
        now: datetime = answer["localTime"]
        return "setName" in answer, now.replace(tzinfo=UTC)

    async def watch(self, raw: Any, pipeline: Sequence[Mapping[str, Any]], *, max_await_ms: int) -> ChangeStream:
        """Open a change stream."""
        return cast(ChangeStream, await _committed(raw).watch(list(pipeline), max_await_time_ms=max_await_ms))

    async def close(self) -> None:
        """Close all connections."""
        await to_the_end(self._client.close())


class _Opened:
    """A change stream that was asked once already."""

    def __init__(self, stream: ChangeStream, first: Any) -> None:
        self._stream = stream
        self._first = first

    async def try_next(self) -> Any:
        """Give the next change."""
        first, self._first = self._first, None
        return await self._stream.try_next() if first is None else first

    async def close(self) -> None:
        """End it."""
        await self._stream.close()


class MotorBackend(PyMongoBackend):
    """Motor's client: the same methods; two of them are not awaited."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        try:
            from motor.motor_asyncio import AsyncIOMotorClient
        except ImportError as error:
            raise ConfigurationError(
                "the driver motor is not installed: pip install 'enterprise-gateway[motor]', or use the driver pymongo"
            ) from error
        self._client = AsyncIOMotorClient(uri, connect=False, **options)

    async def watch(self, raw: Any, pipeline: Sequence[Mapping[str, Any]], *, max_await_ms: int) -> ChangeStream:
        """Open a change stream; Motor does not before it is first asked."""
        stream: ChangeStream = _committed(raw).watch(list(pipeline), max_await_time_ms=max_await_ms)
        return _Opened(stream, await stream.try_next())

    async def close(self) -> None:
        """Close all connections. Off the loop: the client asks its server."""
        await asyncio.to_thread(self._client.close)


def _committed(raw: Any) -> Any:
    return raw.with_options(read_concern=_MAJORITY)


def client_options(uri: str, *, operation_timeout_seconds: float, app_name: str) -> dict[str, Any]:
    """Give the options that go over those of the URI, and those that the URI may change."""
    timeout_ms = max(1, int(operation_timeout_seconds * 1000 * HEAD_START))
    options: dict[str, Any] = {
        "timeoutMS": timeout_ms,
        "serverSelectionTimeoutMS": timeout_ms,
        "w": "majority",
        "journal": True,
        "readPreference": "primary",
        "retryWrites": True,
        "retryReads": True,
        "tz_aware": True,
    }
    adjustable: dict[str, Any] = {
        "appName": app_name,
        # They bound how long a member that went silent passes for one that is there; 20 and 10 s by default.
        "connectTimeoutMS": int(max(operation_timeout_seconds, _SHORTEST_CONNECT_SECONDS) * 1000),
        "heartbeatFrequencyMS": int(_HEARTBEAT_SECONDS * 1000),
    }
    named = option_names(uri)
    return options | {name: value for name, value in adjustable.items() if name.lower() not in named}
