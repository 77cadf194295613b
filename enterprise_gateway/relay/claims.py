"""Whose a session is: the order of its connections, and where the former one is. The relay asks; others know."""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from enterprise_gateway.relay.handover import Handover
from persistence.clock import Deadline

FRESH_SECONDS = 1.0
"""How long it may be relied on that a connection was its session's newest: the process may have been paused since."""


_KEY_DIGITS = 32


def session_key(session_id: str) -> str:
    """Give the form of a session's id that is the same everywhere, and safe as a name."""
    return sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


class Former(NamedTuple):
    """The connection before; `here`: it is, or was, one of this process."""

    replica: str
    n: int
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A session's connection, which was its newest when it was recorded.

    Attributes:
        n: Its number, higher than those before.
        former: The one before it; None if there was none that is known.
        fresh: Until when its DEALERs may be made without another look.
    """

    n: int
    former: Former | None
    fresh: Deadline


Place = Claim | Former | None
"""What became of a connection that was to be recorded.

A `Former`: it was not, for there is one elsewhere that may have to let it in. None: it can't be, the database is away.
"""

Claiming = Place | Future[Place]
"""The same, or that it is not known yet."""


class Reconnects(Protocol):
    """What is known of the sessions of one kernel beyond this process. None of it raises. `key` names the session."""

    async def claim(self, key: str, *, after: Former | None = None) -> Place:
        """Make a connection here the session's newest; with `after` only if that one is the newest until then."""
        ...

    async def admits(self, key: str, former: Former) -> bool:
        """Ask a connection elsewhere to let a silent one succeed it; False while its own client is there and speaks."""
        ...

    async def supersede(self, key: str, former: Former, seconds: float) -> bool:
        """Tell a connection elsewhere that it has a successor.

        True: from now on neither it nor one before it makes DEALERs. False: nobody said so in time.
        """
        ...

    async def newest(self, key: str, n: int) -> bool | None:
        """Is this connection still the session's newest? None: nobody can say now."""
        ...

    async def fetch(self, key: str, former: Former, seconds: float) -> Handover | None:
        """End a connection elsewhere and take what it has kept; None where that can't be had in time."""
        ...
