"""A socket for the gateway's own requests finds a kernel that has yet to bind, and sends what it was given then."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from enterprise_gateway.relay import caller as module
from enterprise_gateway.relay import messages
from enterprise_gateway.relay.caller import UnixCaller, caller
from enterprise_gateway.relay.pieces import Piece
from enterprise_gateway.relay.sockets import KernelLink, address, relay_context
from enterprise_gateway.relay.unix_dealer import UnixDealer
from persistence import clock
from tests.cluster.waiting import eventually
from tests.fakes.kernel import FakeKernel

NEVER = 3_600.0


@pytest.fixture
async def unbound() -> AsyncIterator[FakeKernel]:
    """A kernel that has yet to bind."""
    kernel = FakeKernel()
    yield kernel
    await kernel.die()


class Heard:
    """What the kernel answered."""

    def __init__(self) -> None:
        self.wires: list[Sequence[Piece]] = []

    def __call__(self, batch: Sequence[Sequence[Piece]]) -> None:
        self.wires += batch


def asked(connection: dict[str, Any], heard: Heard) -> Callable[[], None]:
    """Ask a kernel what it is; returns what closes the socket."""
    calling = caller(KernelLink.to(relay_context(), connection), "shell", heard)
    calling.send(messages.own_request("kernel_info_request", {})[1])
    return calling.close


async def answered(heard: Heard) -> None:
    await eventually(lambda: len(heard.wires) == 1, "the kernel answers")


async def found(kernel: FakeKernel, before: Callable[[], object] = lambda: None) -> None:
    """Ask a kernel, do something, have the kernel bind, and wait until it has answered."""
    heard = Heard()
    close = asked(kernel.connection, heard)
    before()
    await clock.sleep(0)
    kernel.bind()
    await answered(heard)
    close()


async def test_a_kernel_that_binds_is_found_without_looking_again(
    unbound: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SURE_SECONDS", NEVER)
    await found(unbound)


async def test_without_watches_a_kernel_that_binds_is_looked_for(
    unbound: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room for another watch")

    monkeypatch.setattr(module, "watch", full)
    await found(unbound)


async def test_a_watch_that_tells_nothing_is_not_relied_on(
    unbound: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "watch", lambda *_: lambda: None)
    monkeypatch.setattr(module, "SURE_SECONDS", 0.01)
    await found(unbound)


async def test_another_file_that_appears_is_not_taken_for_the_kernel(
    unbound: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SURE_SECONDS", NEVER)
    await found(unbound, before=(path_of(unbound).parent / "kernel.log").touch)


async def test_a_kernel_that_has_bound_and_does_not_listen_yet_is_tried_again(unbound: FakeKernel) -> None:
    heard = Heard()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path_of(unbound)))
        close = asked(unbound.connection, heard)
        await clock.sleep(0)
    path_of(unbound).unlink()
    unbound.bind()
    await answered(heard)
    close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long is waited before each further look; time goes faster."""
    noted: list[float] = []
    look_in = UnixCaller._look_in

    def faster(self: UnixCaller, seconds: float) -> None:
        noted.append(seconds)
        look_in(self, seconds / 1_000)

    monkeypatch.setattr(UnixCaller, "_look_in", faster)
    return noted


async def looked_often(pauses: list[float]) -> None:
    await eventually(lambda: len(pauses) > 12, "it is looked for again and again")


async def test_what_nobody_listens_to_is_tried_less_and_less(unbound: FakeKernel, pauses: list[float]) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path_of(unbound)))
        close = asked(unbound.connection, Heard())
        await looked_often(pauses)
        close()
    assert pauses[:3] == [0.002, 0.004, 0.008]
    assert max(pauses) == module.SURE_SECONDS


async def test_a_kernel_whose_directory_is_gone_is_looked_for_less_and_less(
    unbound: FakeKernel, pauses: list[float]
) -> None:
    close = asked({**unbound.connection, "ip": "/nowhere/at/all"}, Heard())
    await looked_often(pauses)
    close()
    assert max(pauses) == module.SURE_SECONDS


async def test_who_closes_it_looks_no_longer(unbound: FakeKernel) -> None:
    heard = Heard()
    asked(unbound.connection, Heard())()
    unbound.bind()
    close = asked(unbound.connection, heard)
    await answered(heard)
    close()
    assert len(unbound.requests) == 1


async def test_a_kernel_that_is_lost_is_not_looked_for_again(unbound: FakeKernel) -> None:
    unbound.bind()
    heard = Heard()
    link = KernelLink.to(relay_context(), unbound.connection)
    calling = UnixCaller(link, "shell", heard)
    calling.send(messages.own_request("kernel_info_request", {})[1])
    await answered(heard)
    await unbound.die()
    await eventually(lambda: calling._dealer is not None and calling._dealer.lost, "the loss is seen")
    calling.send(messages.own_request("kernel_info_request", {})[1])  # goes nowhere, and fails nothing
    assert calling._next_look is None
    calling.close()


async def test_without_a_descriptor_the_first_look_fails_and_a_later_one_is_tried_again(
    unbound: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = UnixDealer
    refused = [0]

    def short(*args: Any) -> Any:
        refused[0] += 1
        if refused[0] <= 2:
            raise zmq.ZMQError(errno.EMFILE)
        return made(*args)

    heard = Heard()
    close = asked(unbound.connection, heard)
    monkeypatch.setattr(module, "UnixDealer", short)
    unbound.bind()
    await answered(heard)
    close()
    refused[0] = 0
    with pytest.raises(zmq.ZMQError):
        asked(unbound.connection, Heard())


async def test_over_tcp_libzmq_finds_the_kernel() -> None:
    heard = Heard()
    async with FakeKernel(transport="tcp") as kernel:
        close = asked(kernel.connection, heard)
        await answered(heard)
        close()


def path_of(kernel: FakeKernel) -> Path:
    """Where its shell's socket is, or will be."""
    return Path(address(kernel.connection, "shell").removeprefix("ipc://"))
