"""A DEALER knows how it stands, with its monitor and, over Unix sockets, without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from enterprise_gateway.relay.dealer import Dealer
from enterprise_gateway.relay.messages import own_request
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.sockets import KernelLink, relay_context
from tests.cluster.waiting import eventually
from tests.fakes.kernel import FakeKernel

TRANSPORTS = pytest.mark.parametrize("transport", ["ipc", "tcp"])


def nothing(*_: Any) -> None:
    """Nobody listens."""


@asynccontextmanager
async def standing(kernel: FakeKernel) -> AsyncIterator[Dealer]:
    link = KernelLink.to(relay_context(), kernel.connection)
    heard = {"read": nothing, "changed": nothing, "writable": nothing}
    dealer = Dealer(link, "shell", identity=b"me", options=RelayOptions(), **heard)
    try:
        await eventually(lambda: dealer.stands, "the kernel has seen it")
        yield dealer
    finally:
        dealer.close()


@TRANSPORTS
async def test_its_monitor_goes_where_it_is_not_needed_once_it_stands(transport: str) -> None:
    async with FakeKernel(transport=transport) as kernel, standing(kernel) as dealer:
        assert dealer.monitored is (transport == "tcp")
        assert dealer.send(own_request("kernel_info_request", {})[1])
        await kernel.received("kernel_info_request")


@TRANSPORTS
async def test_it_knows_that_its_connection_is_gone(transport: str) -> None:
    async with FakeKernel(transport=transport) as kernel, standing(kernel) as dealer:
        await kernel.die()
        await eventually(lambda: dealer.lost, "it is lost")
        assert not dealer.send(own_request("kernel_info_request", {})[1])
