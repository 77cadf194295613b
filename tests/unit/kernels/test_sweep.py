"""The sweep over real directories; what it does to processes is shown where their census is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_gateway.kernels.sweep import Sweep
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from persistence.documents import KernelNotice
from tests.records import running_kernel
from tests.unit.provisioners.short_paths import short_directory

HOST = HostIdentity.current()
GRACE, INTERVAL = 10.0, 15.0


class Swept:
    """A host with directories of kernels, and a clock that the test moves."""

    def __init__(self, root: Path) -> None:
        self.now = 1000.0
        self.directories = RuntimeDirectories(root)
        self.directories.prepare()
        self.sweep = Sweep(
            local=LocalSettings(host=HOST, directories=self.directories),
            deployment_id="no-process-has-this",
            interval_seconds=INTERVAL,
            grace_seconds=GRACE,
            log=logging.getLogger("test"),
            now=lambda: self.now,
        )

    async def after(self, seconds: float, *notices: KernelNotice) -> list[tuple[str, int]]:
        """Let time pass, sweep with these records, and say what directories are there then."""
        self.now += seconds
        census = await self.sweep.census()
        assert census is not None
        await self.sweep.clear(census, notices)
        return sorted(self.directories.names())


@pytest.fixture
def swept() -> Iterator[Swept]:
    with short_directory() as root:
        yield Swept(root / "run")


def notice(phase: str, generation: int = 1) -> KernelNotice:
    stored = running_kernel(phase=phase, generation=generation, host=HOST.to_doc()).to_document()
    return KernelNotice.from_document(stored)


async def test_what_is_left_over_goes_when_the_grace_is_over(swept: Swept) -> None:
    swept.directories.make("k1", 1)
    assert await swept.after(0, notice("ended")) == [("k1", 1)]
    assert await swept.after(INTERVAL, notice("ended")) == []


async def test_what_is_left_over_stays_until_then(swept: Swept) -> None:
    swept.directories.make("k1", 1)
    await swept.after(0, notice("running"))
    assert await swept.after(INTERVAL, notice("ended")) == [("k1", 1)]


async def test_what_is_of_a_living_generation_stays_for_ever(swept: Swept) -> None:
    swept.directories.make("k1", 2)
    for _ in range(3):
        assert await swept.after(1000, notice("running", 2)) == [("k1", 2)]


async def test_what_has_no_record_goes(swept: Swept) -> None:
    swept.directories.make("k1", 1)
    await swept.after(0)
    assert await swept.after(INTERVAL) == []


async def test_each_thing_that_goes_is_told_with_its_reason(swept: Swept, caplog: pytest.LogCaptureFixture) -> None:
    swept.directories.make("k1", 1)
    await swept.after(0, notice("running", 2))
    await swept.after(INTERVAL, notice("running", 2))
    assert caplog.messages == ["Swept the directory of kernel k1, generation 1: its kernel is in a later generation"]


async def test_what_can_not_be_removed_is_tried_again(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    swept.directories.make("k1", 1)
    await swept.after(0)
    with monkeypatch.context() as patched:
        patched.setattr(RuntimeDirectories, "remove", _refuse)
        assert await swept.after(INTERVAL) == [("k1", 1)]
    assert await swept.after(INTERVAL) == []


async def test_the_host_is_looked_at_once_an_interval(swept: Swept) -> None:
    assert await swept.sweep.census() is not None
    swept.now += INTERVAL - 0.001
    assert await swept.sweep.census() is None
    swept.now += 0.001
    assert await swept.sweep.census() is not None


async def test_where_nothing_can_be_listed_the_next_look_tries_again(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RuntimeDirectories, "names", _no_descriptor)
        assert await swept.sweep.census() is None
    swept.now += INTERVAL
    assert await swept.sweep.census() is not None


def _no_descriptor(self: RuntimeDirectories) -> None:
    raise OSError(24, "Too many open files")


def _refuse(self: RuntimeDirectories, kernel_id: str, generation: int) -> None:
    raise PermissionError(13, "Permission denied")
