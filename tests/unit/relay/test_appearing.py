"""Being told that something has appeared in a directory."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import pytest

from enterprise_gateway.relay import appearing
from tests.cluster.waiting import eventually


class Told:
    """How often something was told."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def told() -> Told:
    return Told()


async def told_once(told: Told) -> None:
    await eventually(lambda: told.times == 1, "it is told")


async def test_a_file_that_is_made_is_told_once(tmp_path: Path, told: Told) -> None:
    appearing.watch(str(tmp_path), told)
    (tmp_path / "one").touch()
    await told_once(told)
    seen = Told()
    appearing.watch(str(tmp_path), seen)
    (tmp_path / "two").touch()
    await told_once(seen)
    assert told.times == 1


async def test_a_socket_that_is_bound_is_told(tmp_path: Path, told: Told) -> None:
    appearing.watch(str(tmp_path), told)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        await told_once(told)


async def test_what_is_moved_there_is_told(tmp_path: Path, told: Told) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "file").touch()
    appearing.watch(str(tmp_path / "here"), told)
    (tmp_path / "file").rename(tmp_path / "here" / "file")
    await told_once(told)


async def test_of_two_who_wait_for_one_directory_each_is_told(tmp_path: Path, told: Told) -> None:
    other = Told()
    appearing.watch(str(tmp_path), told)
    appearing.watch(str(tmp_path), other)
    (tmp_path / "one").touch()
    await told_once(told)
    await told_once(other)


async def test_who_has_called_it_off_is_not_told_and_others_are(tmp_path: Path, told: Told) -> None:
    other = Told()
    call_off = appearing.watch(str(tmp_path), told)
    appearing.watch(str(tmp_path), other)
    call_off()
    call_off()
    (tmp_path / "one").touch()
    await told_once(other)
    assert told.times == 0


async def test_a_watch_that_was_called_off_is_begun_anew(tmp_path: Path, told: Told) -> None:
    appearing.watch(str(tmp_path), Told())()
    assert not appearing._watches()._waiting
    appearing.watch(str(tmp_path), told)
    (tmp_path / "one").touch()
    await told_once(told)


async def test_calling_it_off_after_the_directory_has_gone_is_harmless(tmp_path: Path, told: Told) -> None:
    (tmp_path / "here").mkdir()
    call_off = appearing.watch(str(tmp_path / "here"), told)
    (tmp_path / "here").rmdir()
    call_off()
    (tmp_path / "there").mkdir()
    appearing.watch(str(tmp_path / "there"), told)
    (tmp_path / "there" / "one").touch()
    await told_once(told)


async def test_who_waits_is_told_that_the_directory_has_gone(tmp_path: Path, told: Told) -> None:
    (tmp_path / "here").mkdir()
    appearing.watch(str(tmp_path / "here"), told)
    (tmp_path / "here").rmdir()
    await told_once(told)


async def test_a_directory_that_is_not_there_can_not_be_watched(tmp_path: Path, told: Told) -> None:
    with pytest.raises(FileNotFoundError):
        appearing.watch(str(tmp_path / "nowhere"), told)


async def test_without_room_for_another_there_are_no_watches_and_nothing_fails(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.EMFILE, "no room for another instance")

    with monkeypatch.context() as patch:
        patch.setattr(appearing, "INotify", full)
        appearing.prepare()
        with pytest.raises(OSError, match="no room"):
            appearing.watch(str(tmp_path), told)
    appearing.watch(str(tmp_path), told)  # when there is room again
    (tmp_path / "one").touch()
    await told_once(told)


def test_each_event_loop_has_its_own_watches(tmp_path: Path) -> None:
    async def watched(name: str) -> None:
        told = Told()
        appearing.prepare()
        appearing.watch(str(tmp_path), told)
        (tmp_path / name).touch()
        await told_once(told)

    asyncio.run(watched("one"))
    asyncio.run(watched("two"))
