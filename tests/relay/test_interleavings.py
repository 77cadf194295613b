"""The protocol of reconnects, in the orders in which its steps can happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.relay.interleavings import every_order, some_orders
from tests.relay.stepped_world import Scenario


async def test_a_reconnect_loses_and_doubles_nothing_in_any_order() -> None:
    assert await every_order(Scenario(messages=0), most=20_000) > 20


GIVEN_UP = Scenario(reconnects=0, twins=1, silent=True, messages=1)
TWO_GIVEN_UP = replace(GIVEN_UP, replicas=3, twins=2)
SCENARIOS = {
    "one reconnect": Scenario(messages=3),
    "two reconnects": Scenario(reconnects=2),
    "three reconnects between three": Scenario(replicas=3, reconnects=3, messages=3),
    "looking again": Scenario(reconnects=2, stale=True),
    "no answer in time": Scenario(reconnects=2, silences=1, prompt=True),
    "a replica killed": Scenario(replicas=3, reconnects=2, kills=1, prompt=True),
    "DEALERs seen in another order": Scenario(replicas=3, reconnects=2, pauses=True),
    "DEALERs seen in another order, and who is not told": Scenario(replicas=3, reconnects=2, untold=1, pauses=True),
    "a WebSocket that is given up": GIVEN_UP,
    "two that are given up": TWO_GIVEN_UP,
    "one that is given up, and DEALERs seen late": replace(GIVEN_UP, pauses=True),
    "two that are given up, and DEALERs seen late": replace(TWO_GIVEN_UP, pauses=True),
    "one that is given up hears the cell": replace(GIVEN_UP, messages=2, pauses=True, prints=True),
    "two that are given up hear the cell": replace(TWO_GIVEN_UP, messages=2, pauses=True, prints=True),
    "on one replica": Scenario(replicas=1, reconnects=3),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_drawn_orders_keep_every_promise(name: str) -> None:
    await some_orders(SCENARIOS[name], seed=20_260_101, runs=150)
