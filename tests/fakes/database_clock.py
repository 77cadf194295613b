"""A database's clock that a test sets."""

from __future__ import annotations

from datetime import datetime, timedelta

from persistence.clock import DatabaseClock


class SetClock(DatabaseClock):
    """Says what it is set to, exactly.

    Args:
        now: The time at first.

    Attributes:
        now: The time.
        ahead: How far it has jumped.
    """

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self._first = now
        self.now = now
        self.ahead = timedelta()

    def local_now(self) -> float:
        """Count from the first time."""
        return (self.now - self._first).total_seconds()

    def latest_now(self) -> datetime:
        """Give the time."""
        return self.now + self.ahead

    def latest_at(self, local: float) -> datetime:
        """Give the time as it was."""
        return self._first + timedelta(seconds=local) + self.ahead
