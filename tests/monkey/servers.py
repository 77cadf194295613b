"""The database that the monkey has in its hands: a set of one member, or of three, and who is primary in it now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pymongo

from persistence import clock
from tests.mongo_proxy import MongoProxy
from tests.replica_set import Mongod, ReplicaSet, ThreeMembers

LOOK_SECONDS = 0.1


class Servers:
    """Members of a set, and a proxy for each replica that leads to the primary.

    Args:
        server: The set.
        proxies: By replica.
    """

    def __init__(self, server: ReplicaSet | ThreeMembers, proxies: Sequence[MongoProxy]) -> None:
        self.members = server.members if isinstance(server, ThreeMembers) else [server]
        self.proxies = proxies
        self._uri = server.uri
        self._followed: int | None = None

    def __enter__(self) -> Self:
        self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            self._uri, heartbeatFrequencyMS=500, connectTimeoutMS=1_000
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def primary(self) -> Mongod | None:
        """Who is primary by what was heard last; None while nobody is known to be."""
        address = self._client.primary
        return next((member for member in self.members if address == ("127.0.0.1", member.port)), None)

    async def follow(self) -> None:
        """Have the proxies lead to whoever is primary, for ever."""
        while True:
            primary = self.primary
            if primary is not None and primary.port != self._followed:
                for proxy in self.proxies:
                    await asyncio.to_thread(proxy.lead_to, primary.port)
                self._followed = primary.port
            await clock.sleep(LOOK_SECONDS)
