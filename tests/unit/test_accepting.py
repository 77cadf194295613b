"""Accepting connections where there is no descriptor for them: nothing spins, and what comes later is served."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from enterprise_gateway import accepting
from enterprise_gateway.accepting import Acceptor
from persistence import clock

LOG = logging.getLogger(__name__)


class Listening(socket.socket):
    """A listening socket of a process that has no descriptor left, while `short`."""

    short = 0
    asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.short:
            raise OSError(self.short, os.strerror(self.short))
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as listening:
        listening.setblocking(False)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
def client(listening: Listening) -> Iterator[socket.socket]:
    """Somebody who knocks."""
    with socket.create_connection(listening.getsockname()) as client:
        client.setblocking(False)
        yield client


class Taken:
    def __init__(self) -> None:
        self.connections: asyncio.Queue[socket.socket] = asyncio.Queue()

    def __call__(self, connection: socket.socket, address: Any) -> None:
        self.connections.put_nowait(connection)


async def turns(count: int) -> None:
    for _ in range(count):
        await clock.sleep(0)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_a_descriptor_it_asks_once_and_then_pauses(
    listening: Listening, client: socket.socket, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    listening.short = number
    acceptor = Acceptor(listening, Taken(), LOG)
    await turns(50)
    acceptor.close()
    assert listening.asked == 1
    assert len(caplog.messages) == 1


async def test_who_knocked_meanwhile_is_served_after_the_pause(
    listening: Listening, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PAUSE_SECONDS", 0)
    taken = Taken()
    listening.short = errno.EMFILE
    acceptor = Acceptor(listening, taken, LOG)
    await turns(10)
    listening.short = 0
    with await taken.connections.get() as connection:
        assert connection.getpeername() == client.getsockname()
    acceptor.close()


async def test_what_would_take_the_last_descriptors_is_closed_at_once(
    listening: Listening, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "takes_the_last", lambda descriptor: True)
    taken = Taken()
    acceptor = Acceptor(listening, taken, LOG)
    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
    acceptor.close()
    assert taken.connections.empty()


async def test_closed_it_accepts_nothing_more(listening: Listening, client: socket.socket) -> None:
    acceptor = Acceptor(listening, Taken(), LOG)
    acceptor.close()
    await turns(10)
    assert listening.asked == 0


async def test_closed_while_it_pauses_it_accepts_nothing_more(
    listening: Listening, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PAUSE_SECONDS", 0)
    listening.short = errno.EMFILE
    acceptor = Acceptor(listening, Taken(), LOG)
    while not listening.asked:
        await turns(1)
    acceptor.close()
    asked = listening.asked
    await turns(10)
    assert listening.asked == asked
