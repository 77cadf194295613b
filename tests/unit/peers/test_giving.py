from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.held import HeldKernels
from enterprise_gateway.peers.giving import NO, YES, Handovers
from enterprise_gateway.peers.letters import ADMIT, SUPERSEDE, Ask
from persistence import clock
from tests.unit.peers.test_letters import letters

PURPOSES = (ADMIT, SUPERSEDE)


class Relay:
    """A kernel, and its relay, which answers this, one after the other."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.claiming = asyncio.Lock()

    @property
    def relay(self) -> Relay:
        return self

    async def admit(self, key: str, n: int, seconds: float) -> bool | None:
        assert (key, n, seconds) == ("a-session", 7, 1.0)
        return self.answers.pop(0)

    supersede = admit


async def answer(held: Relay | None, purpose: str, *, meanwhile: Callable[[], None] = lambda: None) -> bytes:
    """Ask for a connection of a kernel; returns the answer."""
    ask = Ask(purpose=purpose, kernel_id="k1", key="a-session", n=7, replica="r1", seconds=1.0)
    handovers = Handovers(cast(HeldKernels, {} if held is None else {"k1": held}), letters(), lambda _: True)
    asked = handovers.admit if purpose == ADMIT else handovers.supersede
    answering = asyncio.ensure_future(asked("k1", letters().seal(ask)))
    await clock.sleep(0)
    meanwhile()
    return letters().open_answer(ask, await answering)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(("answers", "expected"), [([True], YES), ([False], NO), ([None], YES)])
async def test_a_replica_answers_for_a_connection(purpose: str, answers: Sequence[bool], expected: bytes) -> None:
    assert await answer(Relay(*answers), purpose) == expected


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_connection_of_a_kernel_that_is_not_held_is_in_nobodys_way(purpose: str) -> None:
    assert await answer(None, purpose) == YES


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_connection_that_is_just_being_recorded_is_waited_for(purpose: str) -> None:
    held = Relay(None, False)
    await held.claiming.acquire()
    assert await answer(held, purpose, meanwhile=held.claiming.release) == NO


async def test_an_ask_of_a_replica_that_was_here_before_is_answered_that_it_has_gone() -> None:
    ask = Ask(purpose=ADMIT, kernel_id="k1", key="a-session", n=7, replica="former", seconds=1.0)
    handovers = Handovers(cast(HeldKernels, {}), letters(), lambda replica: replica == "r1")
    with pytest.raises(GatewayError) as answered:
        await handovers.admit("k1", letters().seal(ask))
    assert answered.value.status == 404
