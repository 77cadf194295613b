"""How replicas ask each other for a client's buffer: sealed with the keys that only they have.

Guaranteed: nobody without the keys can ask, read an answer, or change one; an ask is good for the one replica and
connection that it names, and not for long, by the database's clock, so that no host's own clock counts; an answer
belongs to its ask. That an ask can't be used twice follows from what it asks for: the connection ends with the first
answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from enterprise_gateway.relay.handover import Handover, MalformedHandover, pack, unpack
from persistence.clock import DatabaseClock
from persistence.errors import PersistenceError
from persistence.sealing import Sealer

PURPOSE = "hand over"
GOOD_FOR = timedelta(seconds=30)
"""Two replicas know the database's time by the last beat of each; a new primary may have shifted it in between."""

_NONCE_BYTES = 16


class NotGenuine(Exception):
    """This was not sealed by another replica, for this one, for this, or just now."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request for what a connection has kept, which ends it."""

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
            "purpose": PURPOSE,
            "key": ask.key,
            "n": ask.n,
            "replica": ask.replica,
            "seconds": ask.seconds,
            "nonce": ask.nonce.hex(),
            "at": self._clock.latest_now().isoformat(),
        }
        return self._sealer.seal(ask.kernel_id, value, self._usable()).decode("ascii")

    def open(self, kernel_id: str, text: str) -> Ask:
        """Open what came as an ask about this kernel.

        Raises:
            NotGenuine: It is none.
        """
        try:
            value = self._sealer.unseal(kernel_id, text.encode())
            self._check(value)
            return Ask(
                kernel_id=kernel_id,
                key=value["key"],
                n=value["n"],
                replica=value["replica"],
                seconds=value["seconds"],
                nonce=bytes.fromhex(value["nonce"]),
            )
        except (PersistenceError, KeyError, ValueError, TypeError) as error:
            raise NotGenuine(type(error).__name__) from error

    def seal_answer(self, ask: Ask, handover: Handover) -> bytes:
        """Seal what is handed over. It may take a while: not for the event loop."""
        return self._sealer.seal_bytes(ask.nonce + pack(handover), self._usable())

    def open_answer(self, ask: Ask, data: bytes) -> Handover:
        """Open the answer to one's own ask. It may take a while: not for the event loop.

        Raises:
            NotGenuine: It is none.
        """
        try:
            opened = self._sealer.unseal_bytes(data)
            if not secrets.compare_digest(opened[:_NONCE_BYTES], ask.nonce):
                raise NotGenuine("the answer to another ask")
            return unpack(opened[_NONCE_BYTES:])
        except (PersistenceError, MalformedHandover) as error:
            raise NotGenuine(type(error).__name__) from error

    def _check(self, value: dict[str, Any]) -> None:
        at = datetime.fromisoformat(value["at"]).astimezone(UTC)
        if value["purpose"] != PURPOSE or abs(self._clock.latest_now() - at) > GOOD_FOR:
            raise ValueError("of another purpose or time")
