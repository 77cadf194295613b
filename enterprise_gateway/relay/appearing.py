"""Telling that something has appeared in a directory, by Linux's inotify: nobody has to look again and again.

A hint only: none comes from some network file systems, and there may be no room for another watch.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress

from inotify_simple import INotify, flags

# What is bound or made there, or moved to there; then the watch is over.
_ONCE = flags.CREATE | flags.MOVED_TO | flags.ONESHOT
_of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Appearances] = weakref.WeakKeyDictionary()


class Appearances:
    """All watches of an event loop: they share one descriptor, whose closing may take Linux some milliseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting: dict[int, list[Callable[[], None]]] = {}
        self._inotify = INotify(nonblocking=True)
        weakref.finalize(loop, self._inotify.close)
        loop.add_reader(self._inotify.fileno(), self._read)

    def watch(self, directory: str, appeared: Callable[[], None]) -> Callable[[], None]:
        """Have `appeared` called once when something has appeared there; returns what calls it off.

        Raises:
            OSError: There is no such directory, or no room for another watch.
        """
        number = self._inotify.add_watch(directory, _ONCE)
        self._waiting.setdefault(number, []).append(appeared)
        return lambda: self._call_off(number, appeared)

    def _call_off(self, number: int, appeared: Callable[[], None]) -> None:
        waiting = self._waiting.get(number, [])
        if appeared not in waiting:
            return
        waiting.remove(appeared)
        if not waiting:
            del self._waiting[number]
            with suppress(OSError):  # it is over by now, which is about to be told
                self._inotify.rm_watch(number)

    def _read(self) -> None:
        for event in self._inotify.read(timeout=0):
            for appeared in self._waiting.pop(event.wd, []):
                appeared()


def prepare() -> None:
    """Have what watches of the running loop need. Finding the C library for the first one may run a program."""
    with suppress(OSError):  # there is no room now
        _watches()


def watch(directory: str, appeared: Callable[[], None]) -> Callable[[], None]:
    """Have `appeared` called on the running loop, once, when something has appeared in a directory.

    Returns:
        What calls it off; harmless when it was called.

    Raises:
        OSError: There is no such directory, or no room for another watch: look now and then instead.
    """
    return _watches().watch(directory, appeared)


def _watches() -> Appearances:
    loop = asyncio.get_running_loop()
    watches = _of_loop.get(loop)
    if watches is None:
        watches = _of_loop[loop] = Appearances(loop)
    return watches
