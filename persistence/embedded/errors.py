"""What can go wrong with a private mongod."""

from __future__ import annotations

from persistence.errors import PersistenceError


class MongodFailed(PersistenceError):
    """The private mongod did not start, or does not answer. The message says why and what to do."""
