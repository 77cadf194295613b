"""The end of a process that does not come to its end: brought about in time, and what held it up is told.

By a thread of its own, for what holds it up may be the event loop, or a thread that waits for a disk or a resolver,
which Python itself waits for without a limit when it exits. Nothing is lost by such an end that a crash would not lose.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from logging import Logger, LoggerAdapter
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

_SHOWN_OF_A_THREAD = 6  # its innermost frames
_IDLE = "_worker"  # where the threads of a pool wait for work
# How what is suspended is named, and what it waits for: a coroutine, a generator, an asynchronous one.
_SUSPENDED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


class LastResort:
    """Ends this process where it is overdue. Made on the running loop; its thread starts at once.

    Args:
        log: Told what held it up.
    """

    def __init__(self, log: Logger | LoggerAdapter[Any]) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._allowed: SimpleQueue[tuple[float, int]] = SimpleQueue()
        threading.Thread(target=self._watch, name="last resort", daemon=True).start()

    def allow(self, seconds: float, *, code: int) -> None:
        """Give the process so long from now to end by itself, in place of what it was given before.

        Args:
            seconds: How long.
            code: The exit code where that is too short.
        """
        self._allowed.put((seconds, code))

    def _watch(self) -> None:
        seconds, code = self._allowed.get()
        with suppress(Empty):
            while True:
                seconds, code = self._allowed.get(timeout=seconds)
        try:
            self._log.critical("This process does not come to its end, and is ended. What holds it up:")
            for line in (*_tasks(self._loop), *_threads()):
                self._log.critical("%s", line)
            logging.shutdown()
        finally:
            os._exit(code)


def _tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    for task in asyncio.all_tasks(loop):
        yield _line(f"task {task.get_name()}", [_place(frame, frame.f_lineno) for frame in _frames(task.get_coro())])


def _threads() -> Iterator[str]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is None or thread.daemon or frame.f_code.co_name == _IDLE:
            continue
        stack = list(traceback.walk_stack(frame))[:_SHOWN_OF_A_THREAD]
        yield _line(f"thread {thread.name}", [_place(frame, line) for frame, line in reversed(stack)])


def _frames(suspended: object) -> Iterator[FrameType]:
    """Give where a coroutine waits, the outermost frame first."""
    for frame, awaited in _SUSPENDED:
        if hasattr(suspended, frame):
            if (here := getattr(suspended, frame)) is not None:
                yield here
            yield from _frames(getattr(suspended, awaited))


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{line})"


def _line(what: str, places: list[str]) -> str:
    return f"{what}: {' > '.join(places) or 'nowhere'}"
