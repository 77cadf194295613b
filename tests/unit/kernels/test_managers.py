"""How many kernels of this host end at once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from enterprise_gateway.kernels import ending, managers
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.kernels.managers import Managers
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from persistence import clock
from persistence.documents import KernelRecord


class Ends:
    """Ends of kernels that go on until they are told."""

    def __init__(self) -> None:
        self.at_work = 0
        self.go = asyncio.Event()

    async def end_kernel(self, *_: Any, **__: Any) -> None:
        self.at_work += 1
        await self.go.wait()


@pytest.mark.parametrize(("local", "at_once"), [(True, 2), (False, 5)])
async def test_as_many_local_kernels_end_at_once_as_are_launched_and_all_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: bool, at_once: int
) -> None:
    ends = Ends()
    monkeypatch.setattr(ending, "end_kernel", ends.end_kernel)
    for name in ("ENDING_SECONDS", "END_PATIENCE_SECONDS"):
        monkeypatch.setattr(managers, name, 600.0)
    made = Managers(
        store=Mock(),
        membership=Mock(),
        local=Mock(directories=RuntimeDirectories(tmp_path)),
        settings=KernelSettings(max_concurrent_launches=2),
        context=Mock(),
        log=logging.getLogger(__name__),
    )
    record = cast(KernelRecord, Mock(process={"pid": 1}))

    def serving() -> GatewayKernelManager:
        return cast(GatewayKernelManager, AsyncMock(is_local=local, close=Mock()))

    tasks = [asyncio.create_task(made.end_present(record, serving=serving())) for _ in range(5)]
    for _ in range(20):
        await clock.sleep(0)
    assert ends.at_work == at_once
    ends.go.set()
    await asyncio.gather(*tasks)
    assert ends.at_work == 5
