"""The gateway's own questions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from enterprise_gateway.relay import probe
from tests.fakes.kernel import FakeKernel, Request


async def test_a_kernel_introduces_itself(kernel: FakeKernel) -> None:
    info = await probe.kernel_info(kernel.connection, timeout_seconds=5)
    assert info["implementation"] == "fake"


async def test_a_busy_kernel_answers_on_control_only(kernel: FakeKernel) -> None:
    kernel.hold()
    await probe.kernel_info(kernel.connection, channel="control", timeout_seconds=5)
    with pytest.raises(TimeoutError):
        await probe.kernel_info(kernel.connection, channel="shell", timeout_seconds=0.05)


async def test_a_starting_kernel_is_found_when_it_binds(tmp_path: Path) -> None:
    kernel = FakeKernel()
    asking = asyncio.create_task(probe.kernel_info(kernel.connection, timeout_seconds=10))
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, kernel.bind)
    await asking
    await kernel.die()


async def test_shutdown_says_whether_it_is_a_restart(kernel: FakeKernel) -> None:
    await probe.shutdown_request(kernel.connection, restart=True, timeout_seconds=5)
    (request,) = await kernel.received("shutdown_request")
    assert (request.channel, request.message["content"]["restart"]) == ("control", True)


async def test_interrupt_goes_over_control(kernel: FakeKernel) -> None:
    await probe.interrupt_request(kernel.connection, timeout_seconds=5)
    (request,) = await kernel.received("interrupt_request")
    assert request.channel == "control"


async def test_an_answer_with_a_wrong_signature_is_none(kernel: FakeKernel) -> None:
    async def forged(fake: FakeKernel, request: Request) -> None:
        message = fake.session.msg("kernel_info_reply", {"status": "ok"}, parent=request.message)
        frames = fake.session.serialize(message)
        frames[1] = b"0" * 64
        await fake.send_raw("shell", [*request.idents, *frames])

    kernel.answers["kernel_info_request"] = forged
    with pytest.raises(TimeoutError):
        await probe.kernel_info(kernel.connection, timeout_seconds=0.2)


async def test_curve_is_spoken_where_the_connection_has_keys() -> None:
    async with FakeKernel(transport="tcp", curve=True) as kernel:
        info = await probe.kernel_info(kernel.connection, timeout_seconds=5)
    assert info["implementation"] == "fake"
