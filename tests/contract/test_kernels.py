from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from persistence.documents import Act, ConnectionCount, HostDoc, KernelRecord, Step, connection_count
from persistence.driver import Database
from persistence.errors import DuplicateKey, StaleWrite
from persistence.kernels import KernelStore
from tests.contract.conftest import Backend
from tests.records import HOST, NOW, ended_kernel, queued_kernel, request, running_kernel

LATER = NOW + timedelta(seconds=9)


def step(where: dict[str, Any], **values: Any) -> Step:
    return Step(name="try", kernel_id="k1", where=where, update={"$set": values})


async def stored(kernels: KernelStore, kernel_id: str = "k1") -> KernelRecord:
    record = await kernels.get(kernel_id)
    assert record is not None
    return record


async def test_an_inserted_kernel_comes_back(kernels: KernelStore) -> None:
    record = running_kernel(connections={"r1": ConnectionCount(count=1, n=4)})
    await kernels.insert(record)
    assert await kernels.get("k1") == record
    assert await kernels.get_surely("k1") == record


async def test_an_unknown_kernel_is_none(kernels: KernelStore) -> None:
    assert await kernels.get("k1") is None
    assert await kernels.get_surely("k1") is None
    assert await kernels.find_by_key("ann", "key") is None


async def test_those_who_ask_surely_at_once_all_get_the_answer(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("k1"))
    asked = ["k1", "k2", "k1", "k2", "k1"]
    answers = await asyncio.gather(*(kernels.get_surely(kernel_id) for kernel_id in asked))
    assert [answer and answer.kernel_id for answer in answers] == ["k1", None, "k1", None, "k1"]


async def test_who_asks_surely_after_a_write_sees_it(kernels: KernelStore) -> None:
    before = asyncio.create_task(kernels.get_surely("k1"))
    await kernels.insert(running_kernel())
    assert await kernels.get_surely("k1") == running_kernel()
    await before


@pytest.mark.parametrize(
    ("first", "second", "index"),
    [
        (queued_kernel("k1"), queued_kernel("k1"), "_id_"),
        (queued_kernel("k1", slot="0"), queued_kernel("k2", slot="0"), "slot"),
        (queued_kernel("k1", user_slot="ann:0"), queued_kernel("k2", user_slot="ann:0"), "user_slot"),
        (queued_kernel("k1", request=request(key="x")), queued_kernel("k2", request=request(key="x")), "idempotency"),
        (ended_kernel("k1", request=request(key="x")), queued_kernel("k2", request=request(key="x")), "idempotency"),
    ],
    ids=["id", "slot", "user_slot", "key", "key of an ended kernel"],
)
async def test_a_second_kernel_is_refused_by_the_index_that_it_violates(
    kernels: KernelStore, first: KernelRecord, second: KernelRecord, index: str
) -> None:
    await kernels.insert(first)
    with pytest.raises(DuplicateKey) as caught:
        await kernels.insert(second)
    assert caught.value.index == index
    assert [listing.kernel_id for listing in await kernels.list_live()] == [first.kernel_id] * first.live


async def test_kernels_without_slots_and_keys_do_not_collide(kernels: KernelStore) -> None:
    for kernel_id in ("k1", "k2", "k3"):
        await kernels.insert(queued_kernel(kernel_id))
    assert len(await kernels.list_live()) == 3


async def test_two_users_may_use_the_same_key(kernels: KernelStore) -> None:
    for username in ("ann", "bob"):
        await kernels.insert(queued_kernel(f"of-{username}", username=username, request=request(key="x")))
    found = await kernels.find_by_key("bob", "x")
    assert found is not None
    assert found.kernel_id == "of-bob"


async def test_a_key_finds_its_ended_kernel_too(kernels: KernelStore) -> None:
    await kernels.insert(ended_kernel(request=request(key="x")))
    assert await kernels.find_by_key("ann", "x") is not None
    assert await kernels.find_by_key("ann", "y") is None


async def test_a_step_can_not_take_a_slot_that_is_taken(kernels: KernelStore) -> None:
    await kernels.insert(queued_kernel("k1"))
    await kernels.insert(queued_kernel("k2", slot="0"))
    with pytest.raises(DuplicateKey) as caught:
        await kernels.apply(step({}, slot="0"))
    assert caught.value.index == "slot"
    assert await stored(kernels) == queued_kernel("k1")


async def test_a_slot_that_a_step_unsets_is_free_again(kernels: KernelStore) -> None:
    await kernels.insert(queued_kernel("k1", slot="0", user_slot="ann:0"))
    await kernels.apply(Step("end", "k1", {}, {"$set": {"phase": "ended"}, "$unset": {"slot": "", "user_slot": ""}}))
    await kernels.insert(queued_kernel("k2", slot="0", user_slot="ann:0"))
    assert await kernels.used_slots("slot") == ["0"]


async def test_used_slots_are_those_of_all_or_of_one_user(kernels: KernelStore) -> None:
    await kernels.insert(queued_kernel("k1", slot="0", user_slot="ann:0"))
    await kernels.insert(queued_kernel("k2", slot="1", user_slot="bob:0", username="bob"))
    await kernels.insert(queued_kernel("k3"))
    await kernels.insert(ended_kernel("k4"))
    assert Counter(await kernels.used_slots("slot")) == Counter(["0", "1", None])
    assert Counter(await kernels.used_slots("user_slot")) == Counter(["ann:0", "bob:0", None])
    assert await kernels.used_slots("user_slot", "bob") == ["bob:0"]


async def test_a_step_gives_the_record_after_it(kernels: KernelStore) -> None:
    await kernels.insert(queued_kernel())
    after = await kernels.apply(step({"act.id": "act-1", "phase": "queued"}, phase="launching"))
    assert after.phase == "launching"
    assert after == await stored(kernels)


async def test_a_step_whose_filter_does_not_hold_is_stale_and_changes_nothing(kernels: KernelStore) -> None:
    await kernels.insert(queued_kernel())
    with pytest.raises(StaleWrite) as caught:
        await kernels.apply(step({"act.id": "other"}, phase="launching"))
    assert caught.value.step == "try"
    assert await stored(kernels) == queued_kernel()


async def test_a_step_of_a_kernel_that_is_gone_is_stale_and_makes_none(kernels: KernelStore) -> None:
    with pytest.raises(StaleWrite):
        await kernels.apply(step({}, phase="launching"))
    assert await kernels.get("k1") is None


async def test_a_step_touches_its_own_kernel_only(kernels: KernelStore) -> None:
    for kernel_id in ("k0", "k1", "k2"):
        await kernels.insert(queued_kernel(kernel_id))
    await kernels.apply(step({"phase": "queued"}, phase="launching"))
    assert [(await stored(kernels, k)).phase for k in ("k0", "k1", "k2")] == ["queued", "launching", "queued"]


async def test_a_step_leaves_the_fields_of_a_newer_replica(kernels: KernelStore, database: Database) -> None:
    await database.collection("kernels").insert({**queued_kernel().to_document(), "novelty": {"a": 1}})
    await kernels.apply(step({}, phase="launching"))
    document = await database.collection("kernels").find_one({"_id": "k1"})
    assert document is not None
    assert document["novelty"] == {"a": 1}


async def test_of_many_who_claim_at_once_one_wins(backend: Backend, kernels: KernelStore) -> None:
    await kernels.insert(running_kernel())
    other_database = await backend.open()
    stores = [kernels, KernelStore(other_database)] * 5

    async def claim(store: KernelStore, name: str) -> str | None:
        act = Act(id=name, replica="r1", since=NOW).to_document()
        try:
            after = await store.apply(step({"phase": "running"}, phase="stopping", act=act))
        except StaleWrite:
            return None
        return after.act.id if after.act else None

    answers = await asyncio.gather(*(claim(store, f"act-{n}") for n, store in enumerate(stores)))
    await other_database.close()
    (winner,) = filter(None, answers)
    record = await stored(kernels)
    assert record.act is not None
    assert record.act.id == winner


async def test_a_list_holds_what_is_live_of_a_newer_replica_too(kernels: KernelStore) -> None:
    for record in (queued_kernel("k1"), running_kernel("k2"), running_kernel("k3", phase="hibernating")):
        await kernels.insert(record)
    await kernels.insert(ended_kernel("k4"))
    assert sorted(listing.kernel_id for listing in await kernels.list_live()) == ["k1", "k2", "k3"]


async def test_a_list_tells_what_lists_show(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(connections={"r1": ConnectionCount(count=2, n=1)}))
    (listing,) = await kernels.list_live()
    assert (listing.kernel_name, listing.username, listing.phase) == ("python3", "ann", "running")
    assert (listing.execution_state, listing.last_activity) == ("idle", NOW)
    assert connection_count(listing) == 2


async def test_a_list_of_more_than_one_batch_is_whole(kernels: KernelStore) -> None:
    for n in range(250):
        await kernels.insert(queued_kernel(f"k{n}"))
    assert len(await kernels.list_live()) == 250


async def test_who_lists_after_a_write_sees_it(kernels: KernelStore) -> None:
    before = asyncio.create_task(kernels.list_live())
    await kernels.insert(running_kernel())
    assert [listing.kernel_id for listing in await kernels.list_live()] == ["k1"]
    await before


async def noticed(kernels: KernelStore, held: tuple[str, ...] = (), host: HostDoc | None = None) -> list[str]:
    return sorted(notice.kernel_id for notice in await kernels.notices("r1", host, held))


async def test_a_replica_is_told_of_what_it_owns_and_holds(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("owned"))
    await kernels.insert(running_kernel("held", owner="r2"))
    await kernels.insert(running_kernel("others", owner="r2"))
    assert await noticed(kernels, held=("held", "unknown")) == ["held", "owned"]


async def test_a_replica_is_told_of_the_live_kernels_of_its_host(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("here", owner="r2"))
    await kernels.insert(ended_kernel("ended"))
    await kernels.insert(running_kernel("elsewhere", owner="r2", host=replace(HOST, id="host-2")))
    assert await noticed(kernels, host=HOST) == ["here"]


async def test_of_ended_kernels_a_replica_is_told_only_if_it_holds_them(kernels: KernelStore) -> None:
    await kernels.insert(ended_kernel("k1", owner="r1"))
    assert await noticed(kernels, host=HOST) == []
    assert await noticed(kernels, held=("k1",), host=HOST) == ["k1"]


async def test_a_replica_is_told_of_the_live_kernels_of_its_machine_before_the_last_boot(kernels: KernelStore) -> None:
    before = replace(HOST, id="host-0", boot="boot-0")
    await kernels.insert(running_kernel("before", owner="r2", host=before))
    await kernels.insert(ended_kernel("ended before", host=before))
    await kernels.insert(running_kernel("beside", owner="r2", host=replace(HOST, id="host-2")))
    await kernels.insert(running_kernel("namesake", owner="r2", host=replace(before, machine="machine-2")))
    await kernels.insert(running_kernel("clone", owner="r2", host=replace(before, name="node-b")))
    assert await noticed(kernels, host=HOST) == ["before"]


@pytest.mark.parametrize("phase", ["queued", "launching", "restarting", "stopping"])
async def test_a_replica_is_told_of_acts_on_kernels_that_no_host_has_yet(kernels: KernelStore, phase: str) -> None:
    await kernels.insert(queued_kernel("nowhere", owner="r2", phase=phase))
    await kernels.insert(queued_kernel("elsewhere", owner="r2", phase=phase, host=HOST))
    await kernels.insert(running_kernel("at rest", owner="r2", host=None))
    assert await noticed(kernels) == ["nowhere"]


@pytest.mark.parametrize("surely", [False, True])
async def test_a_notice_tells_what_a_replica_acts_on(kernels: KernelStore, surely: bool) -> None:
    await kernels.insert(ended_kernel(generation=4, activity_seq=9))
    (notice,) = await kernels.notices("r1", None, ["k1"], surely=surely)
    assert (notice.generation, notice.activity_seq, notice.host) == (4, 9, HOST)
    assert notice.launch_timeout_seconds == 40.0
    assert (notice.phase, notice.target, notice.reason) == ("ended", "stopped", "deleted by a request")
    assert not notice.live


async def test_a_replica_that_goes_leaves_what_it_owns_and_its_connections(kernels: KernelStore) -> None:
    counts = {"r1": ConnectionCount(count=2, n=3), "r2": ConnectionCount(count=1, n=1)}
    await kernels.insert(running_kernel("owned", activity_seq=1))
    await kernels.insert(running_kernel("connected", owner="r2", connections=counts))
    await kernels.release("r1", now=LATER)
    assert await stored(kernels, "owned") == running_kernel("owned", owner=None, activity_seq=2)
    connected = running_kernel("connected", owner="r2", connections={"r2": counts["r2"]}, last_activity=LATER)
    assert await stored(kernels, "connected") == replace(connected, activity_seq=1)


async def test_a_replica_that_goes_leaves_the_others_and_the_ended_alone(kernels: KernelStore) -> None:
    others = [running_kernel("other", owner="r2"), ended_kernel("ended", owner="r1")]
    for record in others:
        await kernels.insert(record)
    await kernels.release("r1", now=LATER)
    assert [await stored(kernels, record.kernel_id) for record in others] == others


async def test_a_takeover_of_the_lead_outdates_what_was_read_of_live_kernels(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("k1", activity_seq=7))
    await kernels.insert(ended_kernel("k2", activity_seq=7))
    await kernels.outdate_reads()
    assert [(await stored(kernels, each)).activity_seq for each in ("k1", "k2")] == [8, 7]


async def test_running_kernels_of_nobody_who_attends_are_found_and_all_acts(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("attended", owner="r1"))
    await kernels.insert(running_kernel("orphan", owner="dead"))
    await kernels.insert(running_kernel("released", owner=None))
    await kernels.insert(queued_kernel("act"))
    await kernels.insert(ended_kernel("ended"))
    found = await kernels.unattended(["r1", "r2"], limit=10)
    assert {notice.kernel_id for notice in found} == {"orphan", "released", "act"}


async def test_running_kernels_are_counted_by_owner(kernels: KernelStore) -> None:
    for kernel_id, owner in (("k1", "r1"), ("k2", "r1"), ("k3", "r2"), ("k4", None)):
        await kernels.insert(running_kernel(kernel_id, owner=owner))
    await kernels.insert(ended_kernel("k5"))
    assert await kernels.owned() == {"r1": 2, "r2": 1}


async def test_counts_that_are_dropped_count_as_activity(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("k1", connections={"dead": ConnectionCount(count=1, n=4)}))
    await kernels.insert(running_kernel("k2", connections={"dead": ConnectionCount(count=0, n=4)}))
    await kernels.drop_connections("dead", now=LATER)
    left, idle = await stored(kernels, "k1"), await stored(kernels, "k2")
    assert (left.connections, left.last_activity, left.activity_seq) == ({}, LATER, 1)
    assert (idle.last_activity, idle.activity_seq) == (NOW, 0)


async def test_idle_kernels_are_found_page_by_page_the_longest_idle_first(kernels: KernelStore) -> None:
    for n in range(5):
        await kernels.insert(running_kernel(f"k{n}", last_activity=NOW - timedelta(seconds=n)))
    await kernels.insert(running_kernel("twin", last_activity=NOW - timedelta(seconds=4)))
    await kernels.insert(running_kernel("young", last_activity=LATER))
    await kernels.insert(running_kernel("marked", last_activity=NOW, target="stopped"))
    await kernels.insert(queued_kernel("queued"))
    await kernels.insert(ended_kernel("ended"))
    first = await kernels.idle_since(NOW, limit=3)
    second = await kernels.idle_since(NOW, after=first[-1], limit=3)
    third = await kernels.idle_since(NOW, after=second[-1], limit=3)
    assert [kernel.kernel_id for kernel in first + second + third] == ["k4", "twin", "k3", "k2", "k1", "k0"]


async def test_kernels_past_an_age_are_found(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel("old", created_at=NOW - timedelta(days=1), last_activity=LATER))
    await kernels.insert(running_kernel("new", created_at=LATER))
    await kernels.insert(ended_kernel("ended", created_at=NOW - timedelta(days=1)))
    assert [kernel.kernel_id for kernel in await kernels.older_than(NOW, limit=10)] == ["old"]


async def test_a_kernels_wish_is_kept(kernels: KernelStore) -> None:
    await kernels.insert(running_kernel(request=request(cull_idle_timeout_seconds=90.5)))
    (candidate,) = await kernels.idle_since(NOW, limit=1)
    assert candidate.cull_idle_timeout_seconds == 90.5
    assert (await stored(kernels)).request.cull_idle_timeout_seconds == 90.5
