"""A private MongoDB for those who have none: one mongod per data directory, shared by all replicas of one user.

- It listens on a Unix socket that only its user can open, and on nothing else.
- It belongs to no replica: it has a session of its own and outlives whoever started it.
- One replica, by a file lock, is its *supervisor*: starts it, starts it anew when it dies, keeps its log short. When
  that one dies another takes the lock and adopts mongod, known by pid and start time.
- Each replica holds a shared lock on a second file. Whoever leaves and is the last stops mongod.
- The data survive all that, and a move of the directory.

Not promised: more than one host. Two hosts, or two containers, that share the directory are refused, not served.
"""

from persistence.embedded.errors import MongodFailed
from persistence.embedded.replica import EmbeddedMongod

__all__ = ["EmbeddedMongod", "MongodFailed"]
