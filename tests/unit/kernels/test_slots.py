"""Limits by unique slots, over a store that loses races."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.slots import Limits, insert_within_limits
from persistence.documents import KernelRecord
from persistence.errors import DuplicateKey
from persistence.kernels import KernelStore
from persistence.testing import mock_store
from tests.records import queued_kernel


async def inserted(store: KernelStore, number: int, limits: Limits, username: str = "ann") -> KernelRecord:
    record = queued_kernel(f"k{number}-{username}", username=username)

    async def insert(candidate: KernelRecord) -> KernelRecord:
        await store.insert(candidate)
        return candidate

    return await insert_within_limits(store, record, limits, insert)


async def test_each_kernel_holds_a_slot_of_its_own() -> None:
    async with mock_store() as manager:
        limits = Limits(in_total=3, per_user=3)
        records = [await inserted(manager.kernels, number, limits) for number in range(3)]
    assert {record.slot for record in records} == {"0", "1", "2"}
    assert {record.user_slot for record in records} == {"ann:0", "ann:1", "ann:2"}


@pytest.mark.parametrize(("limits", "whose"), [(Limits(per_user=2), "ann"), (Limits(in_total=2), "deployment")])
async def test_one_more_than_the_limit_is_refused_with_the_reason(limits: Limits, whose: str) -> None:
    async with mock_store() as manager:
        for number in range(2):
            await inserted(manager.kernels, number, limits)
        with pytest.raises(GatewayError, match=whose) as refused:
            await inserted(manager.kernels, 2, limits)
    assert refused.value.status == 403


async def test_one_users_kernels_take_no_slot_of_anothers() -> None:
    async with mock_store() as manager:
        limits = Limits(per_user=1)
        await inserted(manager.kernels, 0, limits, "ann")
        other = await inserted(manager.kernels, 0, limits, "bob")
    assert other.user_slot == "bob:0"


@pytest.mark.parametrize("earlier", [Limits(), Limits(per_user=9)])
async def test_kernels_from_before_the_limit_count(earlier: Limits) -> None:
    async with mock_store() as manager:
        for number in range(2):
            await inserted(manager.kernels, number, earlier)
        limits = Limits(per_user=4)
        for number in range(2, 4):
            await inserted(manager.kernels, number, limits)
        with pytest.raises(GatewayError, match="the limit is 4, and 4 are running"):
            await inserted(manager.kernels, 4, limits)


async def test_a_limit_of_none_takes_no_slot() -> None:
    async with mock_store() as manager:
        record = await inserted(manager.kernels, 0, Limits())
    assert (record.slot, record.user_slot) == (None, None)


async def test_who_loses_a_slot_takes_another() -> None:
    async with mock_store() as manager:
        limits = Limits(per_user=2)
        lost: list[str | None] = []

        async def insert(candidate: KernelRecord) -> KernelRecord:
            if not lost:  # another one is faster, just now
                lost.append(candidate.user_slot)
                await manager.kernels.insert(replace(candidate, kernel_id="faster"))
            await manager.kernels.insert(candidate)
            return candidate

        record = await insert_within_limits(manager.kernels, queued_kernel("k"), limits, insert)
    assert record.user_slot not in lost


async def test_another_indexs_refusal_is_passed_on() -> None:
    async with mock_store() as manager:
        await inserted(manager.kernels, 0, Limits())
        with pytest.raises(DuplicateKey):
            await inserted(manager.kernels, 0, Limits())


async def test_of_many_at_once_no_more_than_the_limit_get_in() -> None:
    async with mock_store() as manager:
        starts = (inserted(manager.kernels, number, Limits(per_user=5)) for number in range(20))
        results = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(result, KernelRecord) for result in results) == 5
