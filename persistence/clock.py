"""The clocks. Nobody else asks the time, and nobody asks the wall clock.

Three clocks, each for what it is good for:

- `monotonic` stands still while a machine is suspended. Waits that *grant* a right run on it: they only last longer.
- `boottime` goes on while a machine is suspended. Deadlines that *end* a right run on it: they are never late.
- `DatabaseClock` is the one that all replicas share. Stored times are its times.

Whoever compares with a deadline does so when a timer has fired; that the timer fired in time is never assumed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from persistence.documents import ClockStep
from persistence.errors import StoreUnavailable

STEP_SECONDS = 2.0
"""A jump of the database's clock by more than this is remembered; less is within what clocks are synchronized to."""

_MOST_STEPS = 8
_MILLISECOND = timedelta(milliseconds=1)


def monotonic() -> float:
    """Give seconds of a clock that never jumps, and may stand still while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Give seconds of a clock that never jumps, and goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def sleep(seconds: float) -> None:
    """Let others work for that long, at least."""
    await asyncio.sleep(max(seconds, 0.0))


class Deadline:
    """A moment after which something must no longer be done, on `boottime`.

    Args:
        seconds: How far it is from `since`.
        since: A reading of `boottime`; now, where it is None.
        now: The clock, for tests.

    Attributes:
        seconds: The whole span, as it was given.
    """

    __slots__ = ("_at", "_now", "seconds")

    def __init__(self, seconds: float, since: float | None = None, *, now: Callable[[], float] = boottime) -> None:
        self._now = now
        self._at = (now() if since is None else since) + seconds
        self.seconds = seconds

    @property
    def remaining_seconds(self) -> float:
        """What is left, 0 once it has passed."""
        return max(self._at - self._now(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether it has come. At exactly that moment it has."""
        return self._now() >= self._at


class DatabaseClock:
    """The database's time, from its last reading, carried on by `boottime`.

    A reading is a time that the server wrote into its answer, somewhere between sending and receiving. So now is known
    only up to that round trip, and is asked for in two ways: activity is stamped with the latest that it can be, and
    whoever judges idleness takes the earliest. Half a round trip for both would cull early.

    Both answers are whole milliseconds, which is all that is stored, rounded in their own direction.

    Args:
        now: The local clock that carries it on, in seconds; for tests.
    """

    def __init__(self, *, now: Callable[[], float] = boottime) -> None:
        self._now = now
        self._reading: tuple[datetime, float, float] | None = None
        self._steps: tuple[ClockStep, ...] = ()

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        """How the database's clock has jumped, as far as it was seen here; the newest few, oldest first.

        It jumps when another member, whose clock differs, becomes primary.
        """
        return self._steps

    @property
    def set(self) -> bool:
        """Whether there was a reading yet."""
        return self._reading is not None

    def observe(self, database_time: datetime, *, sent: float, received: float) -> None:
        """Take a new reading.

        Args:
            database_time: What the server wrote, aware.
            sent: `boottime` before the request was sent.
            received: `boottime` after the answer had come.

        Raises:
            ValueError: `database_time` has no zone, or the answer came before its request.
        """
        if database_time.tzinfo is None:
            raise ValueError("a time without a zone would be taken for this machine's own")
        if received < sent:
            raise ValueError("an answer can't come before its request")
        reading = (database_time.astimezone(UTC), sent, received)
        step = None if self._reading is None else _step(self._reading, reading)
        if step is not None:
            self._steps = (*self._steps, step)[-_MOST_STEPS:]
        self._reading = reading

    def latest_now(self) -> datetime:
        """Give the latest that now can be: the whole round trip is added, and the millisecond that the server cut off.

        Raises:
            StoreUnavailable: There was no reading yet.
        """
        database_time, sent, _ = self._last_reading()
        return _rounded_up(database_time + _MILLISECOND + timedelta(seconds=self._now() - sent))

    def local_now(self) -> float:
        """Give the local clock's time: what is to be stored later is remembered by it, as no jump moves it."""
        return self._now()

    def latest_at(self, local: float) -> datetime:
        """Give the latest that it can have been at a local time, on the database's clock as it is now.

        Raises:
            StoreUnavailable: There was no reading yet.
        """
        return self.latest_now() - timedelta(seconds=self._now() - local)

    def earliest_now(self) -> datetime:
        """Give the earliest that now can be: nothing of the round trip is added.

        Raises:
            StoreUnavailable: There was no reading yet.
        """
        database_time, _, received = self._last_reading()
        return _rounded_down(database_time + timedelta(seconds=self._now() - received))

    def _last_reading(self) -> tuple[datetime, float, float]:
        if self._reading is None:
            raise StoreUnavailable("the database's clock has not been read yet")
        return self._reading


def _step(before: tuple[datetime, float, float], after: tuple[datetime, float, float]) -> ClockStep | None:
    """Compare two readings: by how much did the clock go on more, or less, than the local one did?

    Each was made somewhere in its round trip. So there is a step for sure only where no moments in the two explain the
    difference, and it is then as big as any two moments would have it.
    """
    gone = (after[0] - before[0]).total_seconds()
    shortest, longest = after[1] - before[2], after[2] - before[1] + _MILLISECOND.total_seconds()
    if gone > longest and gone - shortest > STEP_SECONDS:
        return ClockStep(seconds=gone - shortest, at=after[0], within_seconds=longest)
    if gone < shortest and longest - gone > STEP_SECONDS:
        return ClockStep(seconds=gone - longest, at=after[0], within_seconds=longest)
    return None


def _rounded_down(value: datetime) -> datetime:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _rounded_up(value: datetime) -> datetime:
    cut = _rounded_down(value)
    return cut if cut == value else cut + _MILLISECOND
