"""Who of several users is next. Pure: no waiting, no clock."""

from __future__ import annotations

from collections import Counter, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Waiters of several users, and how many of each user are at work.

    The next one is of the user with the fewest at work; among these, of the one who was served longest ago; and of one
    user first come, first served. So one user's hundred starts don't delay another user's one by more than those that
    are at work.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}
        self._at_work: Counter[str] = Counter()
        self._served: dict[str, int] = {}  # when a user who waits or is at work was served last
        self._turns = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, user: str, waiter: T) -> None:
        """Take a waiter in."""
        self._waiting.setdefault(user, deque()).append(waiter)
        # Who is new comes before who was served last, and after all who have waited since before that.
        self._served.setdefault(user, self._turns - 1)

    def remove(self, user: str, waiter: T) -> None:
        """A waiter has given up. One that does not wait is no error."""
        queue = self._waiting.get(user, deque())
        if waiter in queue:
            queue.remove(waiter)
        if not queue:
            self._waiting.pop(user, None)
        self._forget_idle(user)

    def next(self) -> tuple[str, T] | None:
        """Take the next waiter out; None if nobody waits."""
        if not self._waiting:
            return None
        user = min(self._waiting, key=lambda user: (self._at_work[user], self._served[user]))
        queue = self._waiting[user]
        waiter = queue.popleft()
        if not queue:
            del self._waiting[user]
        self._turns += 2
        self._served[user] = self._turns
        return user, waiter

    def began(self, user: str) -> None:
        """One of this user's is at work."""
        self._at_work[user] += 1

    def ended(self, user: str) -> None:
        """One of this user's is at work no more."""
        self._at_work[user] -= 1
        if not self._at_work[user]:
            del self._at_work[user]
        self._forget_idle(user)

    def ahead_of(self, user: str) -> int:
        """How many at least would be next before one of this user that came now, whoever at work ends first."""
        own = len(self._waiting.get(user, ()))
        others = (
            min(len(queue), max(0, own - self._at_work[other]))
            for other, queue in self._waiting.items()
            if other != user
        )
        return own + sum(others)

    def _forget_idle(self, user: str) -> None:
        if user not in self._waiting and user not in self._at_work:
            self._served.pop(user, None)
