"""Bringing a generation up: over acts that are told how each step goes, with a process only noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from enterprise_gateway.kernels import startup as startup_module
from enterprise_gateway.kernels.acts import ActLost, Acts
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import Managers
from enterprise_gateway.kernels.startup import Startup, too_late
from persistence import clock, steps
from persistence.documents import KernelRecord, Step
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.testing import mock_store
from tests.records import queued_kernel

LOG = logging.getLogger("test")


@pytest.mark.parametrize(("seconds", "said"), [(0.3, "within 0.3 s,"), (60.0, "within 60 s,")])
def test_a_kernel_that_is_too_late_is_told_how_long_it_had(seconds: float, said: str) -> None:
    error = too_late(seconds)
    assert error.status == 504
    assert said in error.message


class FakeActs:
    """Makes every step, but the one that is to fail."""

    def __init__(self, failing: str, error: Exception) -> None:
        self._failing = failing
        self._error = error

    async def apply(self, step: Step, won: Callable[[KernelRecord], bool], *, give_up: clock.Deadline) -> KernelRecord:
        if step.name == self._failing:
            raise self._error
        return queued_kernel()


class FakeManager:
    """Of a process that waits at its gate."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def connection(self) -> Mapping[str, Any]:
        return {}

    async def open(self) -> None:
        self.done.append("opened")

    def close(self) -> None:
        self.done.append("let go")


class FakeManagers:
    """Launches, and ends."""

    def __init__(self) -> None:
        self.manager = FakeManager()

    async def launched(self, record: KernelRecord) -> GatewayKernelManager:
        return cast(GatewayKernelManager, self.manager)

    async def store_process_step(self, record: KernelRecord, manager: GatewayKernelManager) -> Step:
        process = {"pid": 7, "start_ticks": 9}
        return steps.store_process(
            record, process=process, connection=b"", provisioner_name="local", provisioner_info=b"", host=None
        )

    async def abandon(self, manager: GatewayKernelManager) -> None:
        self.manager.done.append("ended")


class AnsweredQuestions:
    """To a kernel that says nothing of itself."""

    open = 0

    def __init__(self, *_: object) -> None:
        AnsweredQuestions.open += 1

    async def ask(self, *_: object, **__: object) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        AnsweredQuestions.open -= 1


UNKNOWN, OTHERS = StoreUnavailable("no answer"), ActLost("step", None)


@pytest.mark.parametrize(
    ("step", "error", "done"),
    [
        ("store process", UNKNOWN, ["ended"]),
        ("store process", OTHERS, ["ended"]),
        # The write may have been made: then the kernel runs, and others use it.
        ("mark running", UNKNOWN, ["opened", "let go"]),
        ("mark running", OTHERS, ["opened", "ended"]),
        ("mark running", PersistenceError("refused"), ["opened", "ended"]),
    ],
)
async def test_what_was_launched_is_ended_unless_its_record_may_say_that_it_runs(
    step: str, error: Exception, done: list[str], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup_module, "Questions", AnsweredQuestions)
    monkeypatch.setattr("enterprise_gateway.kernels.ending.gone", lambda *_: asyncio.Event().wait())
    managers = FakeManagers()
    async with mock_store(database_name) as store:
        startup = new_startup(store, FakeActs(step, error), managers)
        with pytest.raises(type(error)):
            await startup.bring_up(queued_kernel(), deadline=clock.Deadline(10.0), stop=asyncio.Event())
    assert managers.manager.done == done
    assert AnsweredQuestions.open == 0


def new_startup(store: KernelSessionManager, acts: FakeActs, managers: FakeManagers) -> Startup:
    return Startup(store, cast(Acts, acts), cast(Managers, managers), LOG)
