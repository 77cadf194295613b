"""Whether there is room for another kernel, of many starts at once too."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels import headroom as module
from enterprise_gateway.kernels.headroom import Headroom
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from persistence import disk
from tests.unit.provisioners.short_paths import short_directory


@pytest.fixture
def root() -> Iterator[Path]:
    with short_directory() as path:
        yield path / "run"


@pytest.fixture
def headroom(root: Path) -> Headroom:
    return Headroom(RuntimeDirectories(root))


async def test_the_directory_is_made_where_somebody_has_tidied_it_away(headroom: Headroom, root: Path) -> None:
    await headroom.check_for_kernel()
    os.rmdir(root)
    await headroom.check_for_kernel()
    assert os.listdir(root.parent) == [root.name]


async def test_each_of_many_starts_at_once_is_told_that_the_disk_is_full(
    headroom: Headroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def full(folder: Path) -> bool:
        looks.append(folder)
        return True

    monkeypatch.setattr(disk, "is_short", full)
    answers = await asyncio.gather(*[headroom.check_for_kernel() for _ in range(30)], return_exceptions=True)
    assert [answer.status for answer in answers if isinstance(answer, GatewayError)] == [503] * 30
    assert len(looks) <= 2


async def test_each_of_many_starts_at_once_is_told_that_the_directory_is_unsafe(headroom: Headroom, root: Path) -> None:
    os.mkdir(root)
    os.chmod(root, 0o755)
    answers = await asyncio.gather(*[headroom.check_for_kernel() for _ in range(3)], return_exceptions=True)
    assert [answer.status for answer in answers if isinstance(answer, GatewayError)] == [503] * 3


async def test_room_that_is_made_is_seen_by_who_comes_later(
    headroom: Headroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "is_short", lambda _: True)
    with pytest.raises(GatewayError):
        await headroom.check_for_kernel()
    monkeypatch.setattr(disk, "is_short", lambda _: False)
    await headroom.check_for_kernel()


async def test_a_disk_that_does_not_answer_is_no_room(headroom: Headroom, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(disk, "is_short", lambda _: answered.wait(60))
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    try:
        with pytest.raises(GatewayError, match="does not answer"):
            await headroom.check_for_kernel()
    finally:
        answered.set()
