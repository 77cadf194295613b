"""Which kernels are asked whether they are busy, and how often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.held import HeldKernel, HeldKernels
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.probing import KernelProber
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.relay import probe
from enterprise_gateway.relay.relay import Relay
from tests.cluster.waiting import eventually
from tests.fakes.database_clock import SetClock
from tests.records import NOW

SETTINGS = KernelSettings()


class World:
    """A prober, a kernel that this replica owns, and the questions that the kernel was asked."""

    def __init__(self) -> None:
        self.clock = SetClock(NOW)
        self.questions: list[asyncio.Future[dict[str, Any]]] = []
        activity = Activity("k1", clock=self.clock, turned=lambda: None)
        relay = cast(Relay, SimpleNamespace(client_count=0))
        self.held = HeldKernel("k1", activity=activity, new_relay=lambda held: relay)
        self.held.owned, self.held.generation, self.held.connection = True, 1, {}
        self.background = Background(logging.getLogger("test"))
        kernels = HeldKernels()
        kernels.add(self.held)
        parts = SimpleNamespace(background=self.background, held=kernels, settings=SETTINGS)
        self.prober = KernelProber(cast(KernelParts, parts))

    async def kernel_info(self, connection: Any, *, channel: str, timeout_seconds: float) -> dict[str, Any]:
        assert channel == "shell"
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]

    @property
    def state(self) -> str | None:
        return self.held.activity.execution_state

    def tell(self, state: str) -> None:
        self.held.activity.status(state, parent_id="cell", parent_type="execute_request", own=False)

    def silence(self) -> None:
        self.clock.now += timedelta(seconds=SETTINGS.silent_seconds)

    async def asked(self, times: int) -> None:
        await eventually(lambda: len(self.questions) == times, f"{times} questions were asked")


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World()
    monkeypatch.setattr(probe, "kernel_info", made.kernel_info)
    yield made
    await made.background.stop()


async def test_a_busy_kernel_that_is_silent_for_long_is_asked_and_idle_when_it_answers(world: World) -> None:
    world.tell("busy")
    world.silence()
    world.prober.ask_silent()
    await world.asked(1)
    assert world.state == "busy"
    world.questions[0].set_result({})
    await eventually(lambda: world.state == "idle", "it is idle")


async def test_one_of_which_nothing_is_known_is_asked(world: World) -> None:
    world.prober.ask_silent()
    await world.asked(1)
    assert world.state == "busy"


async def test_it_is_asked_once_however_long_it_takes(world: World) -> None:
    world.tell("busy")
    for _ in range(3):
        world.silence()
        world.prober.ask_silent()
        await world.asked(1)


async def test_it_is_asked_again_when_it_has_answered_and_is_silent_again(world: World) -> None:
    for times in (1, 2):
        world.tell("busy")
        world.silence()
        world.prober.ask_silent()
        await world.asked(times)
        world.questions[-1].set_result({})
        await eventually(lambda: world.state == "idle", "it is idle")


async def test_an_idle_one_that_is_silent_for_long_is_asked_too_and_busy_when_it_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of its cell was missed."""
    monkeypatch.setattr(world.prober, "_answer_seconds", 0.0)
    world.tell("idle")
    world.silence()
    world.prober.ask_silent()
    await world.asked(1)
    await eventually(lambda: world.state == "busy", "it is taken for busy")
    world.questions[0].set_result({})
    await eventually(lambda: world.state == "idle", "it is idle")


async def test_an_idle_one_that_answers_at_once_stays_idle_and_is_asked_no_more(world: World) -> None:
    world.tell("idle")
    for _ in range(3):
        world.silence()
        world.prober.ask_silent()
        await world.asked(1)
        if not world.questions[0].done():
            world.questions[0].set_result({})
        assert world.held.probe is not None
        await world.held.probe
        assert world.state == "idle"


@pytest.mark.parametrize("why", ["it was heard of", "it is another's"])
async def test_others_are_not_asked(world: World, why: str) -> None:
    world.tell("busy")
    if why != "it was heard of":
        world.silence()
    world.held.owned = why != "it is another's"
    world.prober.ask_silent()
    assert world.held.probe is None


async def test_an_answer_of_a_former_generation_says_nothing(world: World) -> None:
    world.tell("busy")
    world.prober.ask(world.held)
    await world.asked(1)
    world.held.generation = 2
    world.questions[0].set_result({})
    assert world.held.probe is not None
    await world.held.probe
    assert world.state == "busy"


async def test_a_new_question_takes_the_place_of_the_former(world: World) -> None:
    world.prober.ask(world.held)
    await world.asked(1)
    world.prober.ask(world.held)
    await world.asked(2)
    assert world.questions[0].cancelled()
