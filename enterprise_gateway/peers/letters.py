"""How replicas ask each other about a client's connections: sealed with the keys that only they have.

Guaranteed: nobody without the keys can ask, read an answer, or change one; an ask is good for the one purpose, replica
and connection that it names, and not for long, by the database's clock, so that no host's own clock counts; an answer
belongs to its ask. That an ask can't be used twice follows from what it asks for: a connection that is handed over ends
with the first answer, and one that lets another one in, or knows of its successor, does so again at no harm.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from persistence.clock import DatabaseClock
from persistence.errors import PersistenceError
from persistence.sealing import Sealer

HAND_OVER, ADMIT, SUPERSEDE = "hand over", "admit", "supersede"
GOOD_FOR = timedelta(seconds=30)
"""Two replicas know the database's time by the last beat of each; a new primary may have shifted it in between."""

_NONCE_BYTES = 16


class NotGenuine(Exception):
    """This was not sealed by another replica, for this one, for this, or just now."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked of a connection."""

    purpose: str
    """`HAND_OVER`: what it has kept, which ends it. `ADMIT`: whether a silent connection may succeed it. `SUPERSEDE`:
    that it makes no DEALERs any more."""
    kernel_id: str
    key: str
    """Names the session."""
    n: int
    """The connection's number."""
    replica: str
    """Who is asked."""
    seconds: float
    """How long he may take."""
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(_NONCE_BYTES))


class Letters:
    """Seals and opens asks and answers.

    Args:
        sealer: Has the keys.
        usable_key_ids: Names the keys that all replicas have.
        clock: The database's.
    """

    def __init__(self, sealer: Sealer, usable_key_ids: Callable[[], Collection[str]], clock: DatabaseClock) -> None:
        self._sealer = sealer
        self._usable = usable_key_ids
        self._clock = clock

    def seal(self, ask: Ask) -> str:
        """Seal an ask, as text that fits into a header.

        Raises:
            PersistenceError: No key of this replica is known to all, or the database's clock was never read.
        """
        value = {
            "purpose": ask.purpose,
            "key": ask.key,
            "n": ask.n,
            "replica": ask.replica,
            "seconds": ask.seconds,
            "nonce": ask.nonce.hex(),
            "at": self._clock.latest_now().isoformat(),
        }
        return self._sealer.seal(ask.kernel_id, value, self._usable()).decode("ascii")

    def open(self, kernel_id: str, text: str, purpose: str) -> Ask:
        """Open what came as an ask about this kernel, for this purpose.

        Raises:
            NotGenuine: It is none.
        """
        try:
            value = self._sealer.unseal(kernel_id, text.encode())
            self._check(value, purpose)
            return Ask(
                purpose=value["purpose"],
                kernel_id=kernel_id,
                key=value["key"],
                n=value["n"],
                replica=value["replica"],
                seconds=value["seconds"],
                nonce=bytes.fromhex(value["nonce"]),
            )
        except (PersistenceError, KeyError, ValueError, TypeError) as error:
            raise NotGenuine(type(error).__name__) from error

    def seal_answer(self, ask: Ask, answer: bytes) -> bytes:
        """Seal an answer. A long one takes a while: not for the event loop."""
        return self._sealer.seal_bytes(ask.nonce + answer, self._usable())

    def open_answer(self, ask: Ask, data: bytes) -> bytes:
        """Open the answer to one's own ask. A long one takes a while: not for the event loop.

        Raises:
            NotGenuine: It is none.
        """
        try:
            opened = self._sealer.unseal_bytes(data)
            if not secrets.compare_digest(opened[:_NONCE_BYTES], ask.nonce):
                raise NotGenuine("the answer to another ask")
            return opened[_NONCE_BYTES:]
        except PersistenceError as error:
            raise NotGenuine(type(error).__name__) from error

    def _check(self, value: dict[str, Any], purpose: str) -> None:
        at = datetime.fromisoformat(value["at"]).astimezone(UTC)
        if value["purpose"] != purpose or abs(self._clock.latest_now() - at) > GOOD_FOR:
            raise ValueError("of another purpose or time")
