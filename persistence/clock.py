"""Time. Nobody else asks for it.

Three clocks, and no wall clock among them. Deadlines that *end* a right run on `boottime`, which goes on while a virtual
machine is suspended; waits that *grant* one run on `monotonic`, which may stand still: it only waits longer. What is
stored is on the database's clock: the time that the last beat brought back, carried on by `boottime`.

The database's time is known only to within a round trip. So there are two answers: the latest that now can be, with which
activity is stamped, and the earliest, by which a culler judges. Taking the middle culls early.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


def monotonic() -> float:
    """Seconds of CLOCK_MONOTONIC: for waits that grant a right."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME: for deadlines that end a right."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def sleep(seconds: float) -> None:
    """Let others run for so long."""
    await asyncio.sleep(max(0.0, seconds))


class Deadline:
    """A point of CLOCK_BOOTTIME after which a right has ended. Checked, never assumed.

    Args:
        seconds: How long after `since_boottime`.
        since_boottime: From when; now if None.
    """

    def __init__(self, seconds: float, since_boottime: float | None = None) -> None:
        self.seconds = seconds
        self._at = (boottime() if since_boottime is None else since_boottime) + seconds

    @property
    def remaining_seconds(self) -> float:
        """How long it is yet; negative once it has passed."""
        return self._at - boottime()

    @property
    def passed(self) -> bool:
        """Is it over?"""
        return self.remaining_seconds <= 0


class DatabaseClock:
    """The database's time, carried on between beats.

    Args:
        carry: The clock that carries it on; CLOCK_BOOTTIME but in tests.
    """

    def __init__(self, carry: Callable[[], float] = boottime) -> None:
        self._carry = carry
        self._time: datetime | None = None
        self._sent = 0.0
        self._received = 0.0

    @property
    def is_set(self) -> bool:
        """Has the database told its time yet?"""
        return self._time is not None

    def observe(self, database_time: datetime, *, sent_boottime: float, received_boottime: float) -> None:
        """Take the time that an operation brought back, which was sent and answered at these local times."""
        self._time = database_time.astimezone(UTC)
        self._sent = sent_boottime
        self._received = received_boottime

    def latest_now(self) -> datetime:
        """Return the latest that now can be, rounded up to a millisecond: what activity is stamped with.

        Raises:
            RuntimeError: The database has not told its time yet.
        """
        # It was read after the operation was sent; BSON cut off what was finer than a millisecond.
        return self._carried(self._sent) + _MILLISECOND

    def earliest_now(self) -> datetime:
        """Return the earliest that now can be: what a culler judges by.

        Raises:
            RuntimeError: The database has not told its time yet.
        """
        return self._carried(self._received)

    def _carried(self, since_boottime: float) -> datetime:
        if self._time is None:
            raise RuntimeError("the database has not told its time yet")
        return self._time + timedelta(seconds=self._carry() - since_boottime)
