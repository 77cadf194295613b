from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from benchmarks.process import private_mib
from enterprise_gateway import memory
from enterprise_gateway.memory import FEWER_KERNELS, give_back, give_back_for_ever
from persistence import clock

SPARED = """
import gc
import weakref
from enterprise_gateway.memory import spare_what_stays
spare_what_stays()
print(gc.get_freeze_count() > 10_000)
class Node: pass
node = Node()
node.itself, gone = node, weakref.ref(node)
del node
gc.collect()
print(gone() is None)
"""
BLOCKS, BLOCK_BYTES = 20_000, 4_000
MESSAGES = """
import resource
from enterprise_gateway.memory import keep_for_messages
{first}
def come_and_go():
    buffers = [bytearray(b"\\1") * 1_000_000 for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
begun, ended = come_and_go(), [come_and_go() for _ in range(10)][-1]
print(ended - begun)
"""
"""Ten times ten megabytes; tells how many pages the host has cleared for them, but for the first time."""
PAGES = 10_000_000 // os.sysconf("SC_PAGE_SIZE")


def held_mib() -> float:
    with open(f"/proc/{os.getpid()}/smaps_rollup") as smaps:
        return private_mib(smaps.read())


def test_what_was_freed_below_what_is_in_use_goes_back() -> None:
    blocks = [bytearray(BLOCK_BYTES) for _ in range(BLOCKS)]
    last = bytearray(BLOCK_BYTES)  # behind all the others
    before = held_mib()
    blocks.clear()

    assert give_back()
    assert before - held_mib() > BLOCKS * BLOCK_BYTES / 2**20 / 2
    assert len(last) == BLOCK_BYTES


def test_the_memory_of_large_messages_is_used_again() -> None:
    assert pages_cleared(first="keep_for_messages()") < PAGES / 10


def test_what_is_there_is_left_out_of_garbage_collection_and_what_comes_is_not() -> None:
    told = subprocess.run([sys.executable, "-c", SPARED], check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["True", "True"]


def test_without_being_told_glibc_gives_it_back_each_time() -> None:
    assert pages_cleared(first="") > PAGES


def pages_cleared(first: str) -> int:
    told = subprocess.run([sys.executable, "-c", MESSAGES.format(first=first)], check=True, capture_output=True)
    return int(told.stdout)


async def test_it_goes_back_each_time_that_some_kernels_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [0, 20, 20 - FEWER_KERNELS + 1, 20 - FEWER_KERNELS, 5, 12, 2]
    given_at: list[int] = []
    seen: list[int] = []

    def kernels() -> int:
        if not counts:
            raise asyncio.CancelledError
        seen.append(counts.pop(0))
        return seen[-1]

    async def at_once(_: float) -> None:
        """No time passes."""

    monkeypatch.setattr(clock, "sleep", at_once)
    monkeypatch.setattr(memory, "give_back", lambda: given_at.append(seen[-1]))
    with pytest.raises(asyncio.CancelledError):
        await give_back_for_ever(kernels)
    assert given_at == [20 - FEWER_KERNELS, 2]
