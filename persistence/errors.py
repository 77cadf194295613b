"""What can go wrong between the gateway and its database.

PersistenceError
├── StoreUnavailable     the database is away or too slow: the outcome is unknown
├── StaleWrite           a compare-and-set matched nothing: somebody else was faster
├── DuplicateKey         a unique index refuses the document
├── SealingKeyMissing    a secret was sealed with a key that this replica lacks
└── ConfigurationError   settings that can't work; raised at start
"""

from __future__ import annotations


class PersistenceError(Exception):
    """Anything below; alone: a document that can't be read or does not belong where it is."""


class StoreUnavailable(PersistenceError):
    """The database did not answer in time or can't be reached. A write may have been made all the same."""


class StaleWrite(PersistenceError):
    """A compare-and-set matched nothing. No failure: what it was based on has changed.

    Attributes:
        step: Which step it was.
    """

    def __init__(self, step: str) -> None:
        super().__init__(f"the record is not (any more) what the step '{step}' is for")
        self.step = step


class DuplicateKey(PersistenceError):
    """A unique index refuses the document.

    Attributes:
        index: The name of the violated index.
    """

    def __init__(self, index: str) -> None:
        super().__init__(f"the unique index '{index}' refuses the document")
        self.index = index


class SealingKeyMissing(PersistenceError):
    """None of this replica's keys opens what another replica sealed."""


class ConfigurationError(PersistenceError):
    """Settings that can't work. The message says which, why, and what to do."""
