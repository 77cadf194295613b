"""What a host may lack is told apart from faults."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest
import zmq

import enterprise_gateway.shortage
from enterprise_gateway.shortage import descriptors_are_short, shortage


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.EMFILE, "x"), "open files"),
        (OSError(errno.ENOSPC, "x"), "disk is full"),
        (OSError(errno.EDQUOT, "x"), "quota"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (zmq.ZMQError(errno.EMFILE), "open files"),
        (MemoryError(), "memory"),
    ],
)
def test_what_is_lacking_is_named(error: Exception, named: str) -> None:
    assert named in (shortage(error) or "")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "x"), OSError("x"), BlockingIOError(errno.EAGAIN, "x"), ValueError(), None]
)
def test_anything_else_is_no_shortage(error: Exception | None) -> None:
    assert shortage(error) is None


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """This process may open 100 more files; gives its limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 101
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("linux_counts", [True, False], ids=["counted", "tried"])
def test_descriptors_are_short_where_fewer_are_free_than_are_wanted(
    few_descriptors: int, linux_counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not linux_counts:
        monkeypatch.setattr(enterprise_gateway.shortage, "_OPENED", "/proc/self/status")  # of no size, as all there is
    opened = len(os.listdir("/proc/self/fd"))
    assert not descriptors_are_short(10)
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(few_descriptors - opened - 2)]
    assert descriptors_are_short(200)
    for descriptor in taken:
        os.close(descriptor)
    assert len(os.listdir("/proc/self/fd")) == opened
