"""Background work: what dies is told, and what should go on for ever is begun anew."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from enterprise_gateway import lifecycle
from enterprise_gateway.lifecycle import Background
from tests.cluster.waiting import eventually


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(lifecycle, "WELL_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
async def test_a_task_that_dies_is_told_and_begun_anew_and_is_well_after_a_while() -> None:
    background = Background(logging.getLogger("lifecycle"))
    runs: list[bool] = []
    second = asyncio.Event()

    async def work() -> None:
        runs.append("work" in background.broken)
        if len(runs) == 1:
            raise ValueError
        second.set()
        await asyncio.Event().wait()

    background.forever("work", work)
    await second.wait()
    assert runs == [False, True]
    await eventually(lambda: not background.broken, "it is taken for well again")
    await background.stop()


async def test_stopping_ends_what_goes_on_for_ever() -> None:
    background = Background(logging.getLogger("lifecycle"))
    task = background.forever("work", asyncio.Event().wait)  # type: ignore[arg-type]
    await asyncio.wait({asyncio.ensure_future(background.stop())})
    assert task.cancelled()
    assert not background.broken


async def test_what_has_lost_its_cancellation_is_cancelled_again_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifecycle, "AGAIN_SECONDS", 0.01)
    background = Background(logging.getLogger("lifecycle"))
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = background.once("work", work())
    await begun.wait()
    await background.stop()
    assert task.cancelled()
    assert "The task work goes on though it was cancelled" in caplog.text
