from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from enterprise_gateway.relay import subscription
from enterprise_gateway.relay.claims import Claim
from enterprise_gateway.relay.codec import V1, Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import KernelStatus
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.relay.relay import Relay
from tests.fakes.client import FakeSink, request_parts
from tests.fakes.kernel import FakeKernel


@dataclass
class Listener:
    """Remembers what it was told."""

    execution_state: str | None = None
    statuses: list[KernelStatus] = field(default_factory=list)
    outputs: int = 0
    client_messages: int = 0
    counts: list[int] = field(default_factory=list)

    def kernel_status(self, status: KernelStatus) -> None:
        self.statuses.append(status)

    def kernel_output(self) -> None:
        self.outputs += 1

    def client_message(self) -> None:
        self.client_messages += 1

    def clients_changed(self, count: int) -> None:
        self.counts.append(count)


@dataclass
class Client:
    """A client of the relay, with its end of the WebSocket."""

    sink: FakeSink
    connection: ClientConnection

    def send(
        self,
        msg_type: str,
        content: dict[str, object] | None = None,
        *,
        channel: str = "shell",
        msg_id: str | None = None,
    ) -> None:
        frame = V1.encode(channel, request_parts(msg_type, content, msg_id=msg_id))
        self.connection.receive(frame.payload)


PATIENT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def never_nudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that says welcome is asked nothing, however slow the machine."""
    monkeypatch.setattr(subscription, "WELCOME_SECONDS", PATIENT_SECONDS)


@pytest.fixture
async def kernel() -> AsyncIterator[FakeKernel]:
    async with FakeKernel() as fake:
        yield fake


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def new_relay(listener: Listener) -> AsyncIterator[Callable[[RelayOptions], Relay]]:
    relays: list[Relay] = []

    def make(options: RelayOptions) -> Relay:
        relays.append(Relay("a-kernel", listener=listener, log=logging.getLogger("relay"), options=options))
        return relays[-1]

    yield make
    for relay in relays:
        relay.close()


@pytest.fixture
async def relay(new_relay: Callable[[RelayOptions], Relay]) -> Relay:
    return new_relay(RelayOptions())


@pytest.fixture
async def bound(relay: Relay, kernel: FakeKernel) -> Relay:
    await relay.bind(kernel.connection, 1)
    return relay


def attach(relay: Relay, *, session_id: str | None = None, framing: Framing = V1, claim: Claim | None = None) -> Client:
    sink = FakeSink()
    return Client(sink, relay.attach(relay.open(session_id, claim), sink, framing=framing))
