from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from enterprise_gateway.provisioners.kernel_log import KernelLog


@pytest.fixture
def log(tmp_path: Path) -> KernelLog:
    return KernelLog(tmp_path / "log", max_bytes=100)


def write(log: KernelLog, text: str) -> None:
    descriptor = log.open_for_writing()
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_only_the_gateways_user_may_read_it(log: KernelLog) -> None:
    write(log, "x" * 101)
    log.trim()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (log.path, log.aside)] == [0o600, 0o600]


def test_a_link_in_its_place_is_refused(log: KernelLog) -> None:
    log.path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        log.open_for_writing()


def test_the_last_lines_are_told(log: KernelLog) -> None:
    write(log, "a\nb\nc\n")
    assert log.tail(2) == ["b", "c"]


def test_a_log_that_is_not_there_has_no_lines(log: KernelLog) -> None:
    assert log.tail(2) == []


def test_what_is_no_text_is_replaced(log: KernelLog) -> None:
    descriptor = log.open_for_writing()
    os.write(descriptor, b"\xff")
    os.close(descriptor)
    assert log.tail(1) == ["\N{REPLACEMENT CHARACTER}"]


def test_a_short_log_is_left_alone(log: KernelLog) -> None:
    write(log, "x" * 100)
    assert not log.trim()
    assert log.path.stat().st_size == 100


def test_on_a_full_disk_it_is_emptied_and_nothing_is_left_of_the_copy(
    log: KernelLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, "x" * 101)

    def full(descriptor: int, mode: int) -> None:  # when the copy is there, and before it is written
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space left"):
        log.trim()
    assert log.path.stat().st_size == 0
    assert list(log.path.parent.iterdir()) == [log.path]


def test_a_missing_log_is_no_trouble_to_trim(log: KernelLog) -> None:
    assert not log.trim()


def test_zero_means_that_it_is_never_trimmed(tmp_path: Path) -> None:
    log = KernelLog(tmp_path / "log", max_bytes=0)
    write(log, "x" * 1000)
    assert not log.trim()


def test_the_newest_half_of_a_long_log_is_kept_aside(log: KernelLog) -> None:
    write(log, "a" * 100 + "b" * 50)
    assert log.trim()
    assert log.path.stat().st_size == 0
    assert log.aside.read_text() == "b" * 50


def test_who_has_it_open_goes_on_at_its_new_beginning(log: KernelLog) -> None:
    descriptor = log.open_for_writing()
    os.write(descriptor, b"x" * 150)
    log.trim()
    os.write(descriptor, b"new")
    os.close(descriptor)
    assert log.path.read_text() == "new"


def test_lines_kept_aside_are_told_before_the_new_ones(log: KernelLog) -> None:
    write(log, "x" * 100 + "\nold\n")
    log.trim()
    write(log, "new\n")
    assert log.tail(2) == ["old", "new"]


def test_a_log_is_bounded_though_nothing_can_be_kept(log: KernelLog) -> None:
    write(log, "x" * 150)
    log.aside.with_name("log.1.part").mkdir()
    with pytest.raises(IsADirectoryError):
        log.trim()
    assert log.path.stat().st_size == 0


def test_a_fifo_in_its_place_is_not_waited_for(log: KernelLog) -> None:
    os.mkfifo(log.path)
    assert log.tail(1) == []
    with pytest.raises(OSError, match="no regular file"):
        log.trim()
    with pytest.raises(OSError, match="No such device"):
        log.open_for_writing()


def test_a_fifo_in_the_place_of_the_copy_is_replaced(log: KernelLog) -> None:
    os.mkfifo(log.aside.with_name("log.1.part"))
    write(log, "x" * 150)
    assert log.trim()
    assert log.tail(1) == ["x" * 50]


def test_what_a_link_leads_to_is_neither_told_nor_emptied(log: KernelLog, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 150)
    log.path.symlink_to(secret)
    assert log.tail(1) == []
    with pytest.raises(OSError, match="symbolic links"):
        log.trim()
    assert secret.stat().st_size == 150
