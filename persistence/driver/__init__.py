"""The only package that opens a MongoDB client, and the verbs that the stores are built from.

Three clients stand behind one interface: PyMongo's asynchronous one, Motor (past its end of life) and mongomock, which
is for tests. What all of them guarantee:

- A write is acknowledged by a majority and journaled; a read goes to the primary. A linearizable read is one where the
  server is a replica set; a standalone server has no other member that could have gone on without it.
- Every operation is bounded by the operation timeout, its retries included.
- Once an operation timed out or failed to connect, the database is *known away*: every operation raises
  `StoreAway` at once, and a ping in the background alone finds it back.
- Only the errors of `persistence.errors` come out. `StoreAway` is a `StoreUnavailable` of which more is known: nothing
  was sent.
- Times are aware, in UTC, with milliseconds.

Not guaranteed: that a write which raised `StoreUnavailable`, or whose caller was cancelled, was not made.
"""

from persistence.driver.address import check_uri, shown
from persistence.driver.collection import Collection, Index
from persistence.driver.database import Database
from persistence.driver.opening import DRIVERS, open_database

__all__ = ["DRIVERS", "Collection", "Database", "Index", "check_uri", "open_database", "shown"]
