"""What the verbs need of a client: the seam that PyMongo, Motor and mongomock are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

Document = dict[str, Any]
Where = Mapping[str, Any]
Update = tuple[Where, Mapping[str, Any]]


HEAD_START = 0.95
"""Part of its time after which the client ends an operation, before `asyncio.timeout` would: its error says more."""


class ChangeStream(Protocol):
    """A server's change stream."""

    async def try_next(self) -> Any:
        """Give the next change, or None where none came within the stream's own waiting time."""

    async def close(self) -> Any:
        """End it."""


class Backend(Protocol):
    """A client of one server or replica set.

    A *raw* collection has PyMongo's methods: insert_one, insert_many, find_one, find, find_one_and_update, update_many,
    delete_many and create_index, each awaited (find's cursor is). Motor and PyMongo agree on those.
    """

    is_mock: bool

    def raw(self, database: str, collection: str, *, linearizable: bool) -> Any:
        """Give a raw collection whose reads are linearizable, or local to the primary."""

    async def update_each(self, raw: Any, updates: Sequence[Update]) -> int:
        """Update one document for each pair, in any order, as one batch; give how many were matched."""

    async def command(self, database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a command on the primary."""

    async def hello(self) -> tuple[bool, datetime]:
        """Ask the primary whether it belongs to a replica set, and for its time."""

    async def watch(self, raw: Any, pipeline: Sequence[Mapping[str, Any]], *, max_await_ms: int) -> ChangeStream:
        """Open a change stream."""

    async def close(self) -> None:
        """Close all connections."""
