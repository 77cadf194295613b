import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded.locks import FileLock
from persistence.errors import ConfigurationError


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[tuple[FileLock, FileLock]]:
    """Two holders of one lock."""
    pair = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    yield pair
    for lock in pair:
        lock.release()


def test_an_exclusive_lock_keeps_everybody_else_out(locks: tuple[FileLock, FileLock]) -> None:
    mine, other = locks
    assert mine.try_exclusive()
    assert not other.try_exclusive()
    assert not other.try_shared()


def test_a_shared_lock_keeps_out_exclusive_ones_only(locks: tuple[FileLock, FileLock]) -> None:
    mine, other = locks
    assert mine.try_shared()
    assert not other.try_exclusive()
    assert other.try_shared()


def test_a_released_lock_is_free(locks: tuple[FileLock, FileLock]) -> None:
    mine, other = locks
    assert mine.try_exclusive()
    mine.release()
    mine.release()
    assert other.try_exclusive()


def test_of_two_that_leave_one_after_the_other_the_second_is_alone(locks: tuple[FileLock, FileLock]) -> None:
    first, second = locks
    assert first.try_shared()
    assert second.try_shared()
    assert not first.try_exclusive()
    assert second.try_exclusive()


def test_a_child_process_does_not_inherit_the_lock(locks: tuple[FileLock, FileLock]) -> None:
    assert locks[0].try_exclusive()
    assert locks[0]._descriptor is not None
    assert not os.get_inheritable(locks[0]._descriptor)


def test_a_file_system_without_locks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(ConfigurationError, match=f"the file system of {tmp_path} has no file locks"):
        lock.try_shared()
    lock.release()
