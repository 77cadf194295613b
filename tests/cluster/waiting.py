"""Waiting for a condition, never for a time.

Every wait of these tests is one of the two below: it ends as soon as the condition holds, and fails with what it last
saw when the condition does not come. The seconds are patience for a slow machine, not an expectation.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from persistence import clock

T = TypeVar("T")

PATIENCE_SECONDS = 90.0  # for a machine on which all takes ten times as long as it should
PAUSE_SECONDS = 0.03


@overload
async def eventually(
    check: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = PATIENCE_SECONDS
) -> T: ...


@overload
async def eventually(check: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T: ...


async def eventually(check: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask `check` again and again until it answers something true, and return that answer.

    Args:
        check: A plain function or a coroutine function; a false answer means "not yet". Exceptions pass through.
        what: The condition in words, for the failure.
        seconds: How long it may take at most.
    Raises:
        AssertionError: It did not become true; carries the last answer.
    """
    until = clock.monotonic() + seconds
    while True:
        answer = check()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if clock.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what} (last answer: {value!r})")
        await clock.sleep(PAUSE_SECONDS)


def eventually_now(check: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """`eventually` for fixtures that run outside an event loop."""
    until = clock.monotonic() + seconds
    pause = threading.Event()  # never set: its wait is the pause between two looks
    while True:
        value = check()
        if value:
            return value
        if clock.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what} (last answer: {value!r})")
        pause.wait(PAUSE_SECONDS)
