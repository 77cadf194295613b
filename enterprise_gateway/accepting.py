"""Accepting connections, also where there is no file descriptor left for one.

tornado's own way then calls `accept` again at once, for ever: the loop serves nobody else, and its log fills the disk.
Here a listening socket is left alone for a moment; whoever knocks waits in its queue. And what would take the last
descriptors is closed at once: its client, or a balancer, turns to another replica, and what is at work here goes on.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Iterable
from logging import Logger, LoggerAdapter
from typing import Any

from tornado.httpserver import HTTPServer

from enterprise_gateway.shortage import ANSWER_DESCRIPTORS, descriptors_are_short

PAUSE_SECONDS = 0.5
AT_ONCE = 128  # then the loop gets its turn
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class PatientServer(HTTPServer):
    """tornado's server, with an `Acceptor` on each of its sockets."""

    log: Logger | LoggerAdapter[Any]

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Serve these sockets from now on."""
        for listening in sockets:
            self._sockets[listening.fileno()] = listening
            self._handlers[listening.fileno()] = Acceptor(listening, self._handle_connection, self.log).close


class Acceptor:
    """Accepts what comes to one listening socket.

    Args:
        listening: Does not block.
        take: Gets each connection and its address.
        log: Told when there is no room for connections, and when there is again.
    """

    def __init__(
        self, listening: socket.socket, take: Callable[[socket.socket, Any], None], log: Logger | LoggerAdapter[Any]
    ) -> None:
        self._listening = listening
        self._take = take
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._short = False
        self._open = True
        self._listen()

    def close(self) -> None:
        """Accept nothing more."""
        self._open = False
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._open:
                return
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # who had knocked has gone
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                self._tell(str(error))
                self._wait()
                return
            self._admit(connection, address)

    def _admit(self, connection: socket.socket, address: Any) -> None:
        if takes_the_last(connection.fileno()):
            self._tell("too few files may be opened")
            connection.close()
            return
        if self._short:
            self._short = False
            self._log.info("There is room for new connections again")
        self._take(connection, address)

    def _wait(self) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)

    def _tell(self, why: str) -> None:
        if not self._short:
            self._log.error("There is no room for new connections: %s. A higher limit of open files helps", why)
        self._short = True


def takes_the_last(descriptor: int) -> bool:
    """Say whether a descriptor that was just opened is among the last that may be."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The lowest free number is given: as long as that is low, nothing need be counted.
    return 0 <= limit < 2 * descriptor and descriptors_are_short(ANSWER_DESCRIPTORS)
