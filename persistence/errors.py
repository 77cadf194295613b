"""What can go wrong with the database, in its callers' words. No error of a MongoDB driver passes beyond `driver`.

    PersistenceError
    ├── StoreUnavailable     the database is away; what was asked may have been done all the same
    │   └── StoreAway        it is known to be away: nothing was asked
    ├── StaleWrite           somebody else was faster; nothing was written
    ├── DuplicateKey         a unique index refused it; nothing was written
    ├── SealingKeyMissing    a secret can't be read, or may not be written, with this replica's keys
    └── ConfigurationError   a setting is wrong; a person must act

Texts never hold a password, a key or a document.
"""

from __future__ import annotations


class PersistenceError(Exception):
    """The database, or a document in it, is not as it must be. Trying again does not help."""


class StoreUnavailable(PersistenceError):
    """The database can't be reached, has no majority or did not answer in time.

    The outcome of a write is unknown: it may have been made, or be made yet. Read back before anything rests on it.
    """


class StoreAway(StoreUnavailable):
    """The database is known to be away, so nothing was asked of it: what was wanted has not been done."""


class StaleWrite(PersistenceError):
    """A compare-and-set matched nothing: the document is not as it was read, or not there. Nothing was written.

    A write that was retried after its answer was lost looks the same, so it is not yet a lost race: read back.

    Attributes:
        step: Name of the step that was refused.
    """

    def __init__(self, step: str) -> None:
        super().__init__(f"{step}: the document is not as it was read")
        self.step = step


class DuplicateKey(PersistenceError):
    """A unique index refused a write. Nothing was written.

    Attributes:
        index: Name of the index that was violated, `_id_` for the id itself.
    """

    def __init__(self, index: str) -> None:
        super().__init__(f"the unique index {index} has this value already")
        self.index = index


class SealingKeyMissing(PersistenceError):
    """This replica lacks the key that a secret is, or would have to be, sealed with."""


class ConfigurationError(PersistenceError):
    """A setting is wrong. The text says which one and what to do, for the person who starts the gateway."""
