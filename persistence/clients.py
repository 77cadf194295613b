"""Who holds a client's buffer: the entries `clients` of a kernel's record, and how they change. Pure.

Each connection of a session has a number of its own that is higher than those before. Only the newest few sessions of a
kernel are kept, so that the document never grows; of one that was dropped the former holder is unknown, and what that
one kept is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from persistence.documents import ClientHold

KEPT = 32
"""Sessions of one kernel. One page of JupyterLab has a few; each is about 100 bytes."""


@dataclass(frozen=True, kw_only=True)
class ClientClaim:
    """A session's next connection, as a step may write it."""

    key: str
    """The session, by a form of its id that can be a field's name."""
    replica: str
    """Who holds the connection."""
    n: int
    former: ClientHold | None
    """What the record must still say of this session."""
    forgotten: tuple[str, ...] = ()
    """The oldest sessions, which make room."""


def next_claim(clients: Mapping[str, ClientHold], key: str, replica: str) -> ClientClaim:
    """Give the next connection of a session, from the entries as they were read."""
    others = sorted((hold.n, other) for other, hold in clients.items() if other != key)
    room = max(0, len(others) - (KEPT - 1))
    return ClientClaim(
        key=key,
        replica=replica,
        # Above all of them, not only its own: one that was dropped has a lower number than any that is kept.
        n=max((hold.n for hold in clients.values()), default=0) + 1,
        former=clients.get(key),
        forgotten=tuple(other for _, other in others[:room]),
    )
