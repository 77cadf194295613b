"""The protocol of reconnects, in the orders in which its steps can happen."""

from __future__ import annotations

import pytest

from tests.relay.interleavings import Scenario, every_order, some_orders


async def test_a_reconnect_loses_and_doubles_nothing_in_any_order() -> None:
    assert await every_order(Scenario(messages=0), most=20_000) > 20


SCENARIOS = {
    "one reconnect": Scenario(messages=3),
    "two reconnects": Scenario(reconnects=2),
    "three reconnects between three": Scenario(replicas=3, reconnects=3, messages=3),
    "looking again": Scenario(reconnects=2, stale=True),
    "no answer in time": Scenario(reconnects=2, silences=1, prompt=True),
    "a replica killed": Scenario(replicas=3, reconnects=2, kills=1, prompt=True),
    "DEALERs seen in another order": Scenario(replicas=3, reconnects=2, pauses=True),
    "a WebSocket that is given up": Scenario(reconnects=0, twins=1, silent=True, messages=1),
    "two that are given up": Scenario(replicas=3, reconnects=0, twins=2, silent=True, messages=1),
    "on one replica": Scenario(replicas=1, reconnects=3),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_drawn_orders_keep_every_promise(name: str) -> None:
    await some_orders(SCENARIOS[name], seed=20_260_101, runs=150)
