"""Clients that are connected and do nothing: what comes is read, and pings are answered."""

from __future__ import annotations

import os
import selectors
import threading

from benchmarks.clients.channels import PATIENCE_SECONDS
from benchmarks.clients.websocket import Closed, WebSocketChannels


class Audience:
    """Idle clients, attended to by one thread.

    Attributes:
        lost: How many WebSockets were closed by their gateway.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._selector = selectors.DefaultSelector()
        self._members: list[WebSocketChannels] = []
        self._over, self._tell = os.pipe()
        self._selector.register(self._over, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._attend)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._members)

    def close(self) -> None:
        """Disconnect all. Calling it again is harmless."""
        if self._thread.is_alive():
            os.write(self._tell, b".")
        self._thread.join()
        while self._members:
            self._members.pop().close()

    def admit(self, member: WebSocketChannels) -> None:
        """Attend to one more."""
        self._members.append(member)
        self._selector.register(member, selectors.EVENT_READ)

    def _attend(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not isinstance(key.fileobj, WebSocketChannels):
                    return
                self._read(key.fileobj)

    def _read(self, member: WebSocketChannels) -> None:
        try:
            member.attend(PATIENCE_SECONDS)
        except (Closed, OSError):
            self.lost += 1
            self._selector.unregister(member)
