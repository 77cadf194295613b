"""The steps of acts on real stores: who may do what, and what the loser of each race finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from persistence import steps
from persistence.clients import KEPT, next_claim
from persistence.documents import Act, ClientHold, ConnectionCount, KernelRecord, Step
from persistence.errors import StaleWrite
from persistence.kernels import KernelStore
from tests.records import HOST, NOW, ended_kernel, queued_kernel, request, running_kernel

LATER = NOW + timedelta(seconds=5)
PROCESS = {"pid": 11, "start_ticks": 100}
OTHER = {"pid": 22, "start_ticks": 200}


def act(name: str, replica: str = "r1") -> Act:
    return Act(id=name, replica=replica, since=NOW)


async def put(kernels: KernelStore, record: KernelRecord) -> KernelRecord:
    await kernels.insert(record)
    return record


async def queued(kernels: KernelStore) -> KernelRecord:
    return await put(kernels, queued_kernel(act=act("first"), owner="r1"))


async def launching(kernels: KernelStore) -> KernelRecord:
    return await kernels.apply(steps.begin_launch(await queued(kernels)))


def storing(record: KernelRecord, process: dict[str, int] | None = None) -> Step:
    return steps.store_process(
        record,
        process=process or PROCESS,
        connection=b"sealed",
        provisioner_name="local-provisioner",
        provisioner_info=b"sealed",
        host=None,
    )


def readying(record: KernelRecord, replica: str = "r1") -> Step:
    return steps.mark_running(record, now=LATER, kernel_info={"status": "ok"}, replica=replica)


async def launched(kernels: KernelStore) -> KernelRecord:
    return await kernels.apply(storing(await launching(kernels)))


async def running(kernels: KernelStore) -> KernelRecord:
    return await kernels.apply(readying(await launched(kernels)))


async def restarting(kernels: KernelStore) -> KernelRecord:
    return await kernels.apply(steps.claim_restart(await running(kernels), act=act("again", "r2"), now=LATER))


async def test_a_launch_goes_from_queued_to_running(kernels: KernelStore) -> None:
    record = await running(kernels)
    assert (record.phase, record.execution_state, record.owner) == ("running", "idle", "r1")
    assert record.process == PROCESS
    assert record.act is None
    assert record.last_activity == LATER
    assert record.kernel_info == {"status": "ok"}


async def test_what_waits_at_a_gate_is_launching_once_it_is_recorded(kernels: KernelStore) -> None:
    record = await kernels.apply(storing(await queued(kernels)))
    assert (record.phase, record.process) == ("launching", PROCESS)
    assert (await kernels.apply(readying(record))).phase == "running"


async def test_what_waits_at_a_gate_is_not_recorded_when_it_is_not_wanted_any_more(kernels: KernelStore) -> None:
    record = await queued(kernels)
    await kernels.apply(steps.want_stopped("k1"))
    with pytest.raises(StaleWrite):
        await kernels.apply(storing(record))


async def test_what_waits_at_a_gate_is_not_recorded_when_another_has_taken_its_launch_over(
    kernels: KernelStore,
) -> None:
    record = await queued(kernels)
    await kernels.apply(steps.take_over_start(record, act=act("second", "r2"), now=LATER))
    with pytest.raises(StaleWrite):
        await kernels.apply(storing(record))


def first_opening(key: str | None = "s1", *, generation: int = 1) -> Step:
    claim = None if key is None else next_claim({}, key, "r1")
    return steps.open_connection("k1", replica="r1", count=1, n=1, now=LATER, client=claim, first_of=generation)


async def test_a_first_opening_is_recorded_without_a_read(kernels: KernelStore) -> None:
    await running(kernels)
    record = await kernels.apply(first_opening())
    assert record.clients["s1"] == ClientHold(replica="r1", n=1)
    assert record.connections["r1"].count == 1


async def test_an_opening_is_not_the_first_where_another_session_was_before(kernels: KernelStore) -> None:
    await running(kernels)
    other = next_claim({}, "s2", "r2")
    await kernels.apply(steps.open_connection("k1", replica="r2", count=1, n=1, now=LATER, client=other))
    with pytest.raises(StaleWrite):
        await kernels.apply(first_opening())


async def test_sessions_that_were_all_forgotten_are_none(kernels: KernelStore) -> None:
    await put(kernels, running_kernel(clients={}))
    await kernels.apply(first_opening())


async def test_a_first_opening_is_of_the_generation_that_runs(kernels: KernelStore) -> None:
    await running(kernels)
    with pytest.raises(StaleWrite):
        await kernels.apply(first_opening(generation=2))
    await kernels.apply(steps.claim_stop("k1", 1, act=act("stop")))
    with pytest.raises(StaleWrite):
        await kernels.apply(first_opening())


async def test_a_restart_raises_the_generation_and_names_what_is_to_be_ended(kernels: KernelStore) -> None:
    before = await running(kernels)
    record = await kernels.apply(steps.claim_restart(before, act=act("again", "r2"), now=LATER))
    assert record.generation == before.generation + 1
    assert record.activity_seq > before.activity_seq
    assert (record.former, record.process) == (PROCESS, None)
    assert record.owner == "r2"


async def test_of_two_restarts_one_loses(kernels: KernelStore) -> None:
    record = await running(kernels)
    await kernels.apply(steps.claim_restart(record, act=act("a"), now=LATER))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_restart(record, act=act("b"), now=LATER))


async def test_of_a_restart_and_a_stop_the_later_claim_finds_nothing(kernels: KernelStore) -> None:
    record = await running(kernels)
    await kernels.apply(steps.claim_stop("k1", 1, act=act("stop")))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_restart(record, act=act("again"), now=LATER))


async def test_a_stop_can_not_be_claimed_while_another_is_at_work(kernels: KernelStore) -> None:
    at_work = await restarting(kernels)
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_stop("k1", at_work.generation, act=act("stop")))


async def test_a_stop_of_an_earlier_generation_ends_no_later_one(kernels: KernelStore) -> None:
    record = await running(kernels)
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_stop("k1", record.generation - 1, act=act("stop")))


async def test_a_stopped_target_keeps_a_launch_from_storing_its_process(kernels: KernelStore) -> None:
    record = await launching(kernels)
    await kernels.apply(steps.want_stopped("k1"))
    with pytest.raises(StaleWrite):
        await kernels.apply(storing(record))


async def test_a_stopped_target_keeps_a_launch_from_running(kernels: KernelStore) -> None:
    record = await launched(kernels)
    await kernels.apply(steps.want_stopped("k1"))
    with pytest.raises(StaleWrite):
        await kernels.apply(readying(record))


async def test_the_launch_that_was_told_to_stop_can_still_end_the_record(kernels: KernelStore) -> None:
    record = await launched(kernels)
    await kernels.apply(steps.want_stopped("k1"))
    ended = await kernels.apply(steps.end_act(record, reason="shut down", now=LATER))
    assert (ended.phase, ended.reason, ended.act, ended.owner) == ("ended", "shut down", None, None)


@pytest.mark.parametrize(("repeatable", "key"), [(False, "once"), (True, None)])
async def test_the_key_of_a_launch_for_which_there_was_no_room_may_be_used_again(
    kernels: KernelStore, repeatable: bool, key: str | None
) -> None:
    queued = queued_kernel(request=request(key="once"))
    await kernels.insert(queued)
    ended = await kernels.apply(steps.end_act(queued, reason="no room", now=LATER, repeatable=repeatable))
    assert ended.request.key == key


@pytest.mark.parametrize("late", ["store", "ready", "end"])
async def test_an_actor_that_was_taken_over_can_write_nothing_more(kernels: KernelStore, late: str) -> None:
    record = await launched(kernels)
    await kernels.apply(steps.take_over_start(record, act=act("second", "r2"), now=LATER))
    step = {
        "store": storing(record),
        "ready": readying(record),
        "end": steps.end_act(record, reason="late", now=LATER),
    }[late]
    with pytest.raises(StaleWrite):
        await kernels.apply(step)


async def test_a_takeover_names_the_process_that_its_own_write_found(kernels: KernelStore) -> None:
    seen = await launching(kernels)
    await kernels.apply(storing(seen))
    # What was read before the pid was stored is too old to take over from: its victim would be unknown.
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.take_over_start(seen, act=act("second", "r2"), now=LATER))
    fresh = await kernels.get("k1")
    assert fresh is not None
    taken = await kernels.apply(steps.take_over_start(fresh, act=act("second", "r2"), now=LATER))
    assert (taken.former, taken.process) == (PROCESS, None)
    assert taken.generation == seen.generation + 1


async def test_a_launch_that_was_never_begun_is_taken_over_as_one_that_was(kernels: KernelStore) -> None:
    record = await queued(kernels)
    taken = await kernels.apply(steps.take_over_start(record, act=act("second", "r2"), now=LATER))
    assert (taken.phase, taken.generation) == ("launching", record.generation + 1)
    assert (await kernels.apply(storing(taken))).process == PROCESS


@pytest.mark.parametrize("phase", ["launching", "running", "restarting", "stopping"])
async def test_a_kernel_ends_with_its_host_whatever_is_done_with_it(kernels: KernelStore, phase: str) -> None:
    record = await put(kernels, running_kernel(phase=phase, act=act("any"), slot="0", user_slot="ann:0"))
    ended = await kernels.apply(steps.end_with_host(record, reason="started anew", now=LATER))
    assert (ended.phase, ended.reason, ended.act, ended.slot) == ("ended", "started anew", None, None)


async def test_a_kernel_that_was_started_anew_elsewhere_does_not_end_with_its_former_host(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel(host=replace(HOST, id="host-2")))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.end_with_host(replace(record, host=HOST), reason="started anew", now=LATER))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.end_with_host(replace(record, generation=2), reason="started anew", now=LATER))


async def test_of_two_takeovers_one_loses(kernels: KernelStore) -> None:
    record = await launched(kernels)
    await kernels.apply(steps.take_over_start(record, act=act("b", "r2"), now=LATER))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.take_over_start(record, act=act("c", "r3"), now=LATER))


async def test_a_takeover_before_the_new_process_keeps_the_former_one(kernels: KernelStore) -> None:
    record = await restarting(kernels)
    taken = await kernels.apply(steps.take_over_start(record, act=act("c", "r3"), now=LATER))
    assert taken.former == PROCESS
    assert taken.phase == "restarting"


async def test_a_stop_is_taken_over_as_it_is(kernels: KernelStore) -> None:
    await running(kernels)
    stopping = await kernels.apply(steps.claim_stop("k1", 1, act=act("stop")))
    taken = await kernels.apply(steps.take_over_stop(stopping, act=act("b", "r2")))
    assert (taken.phase, taken.generation, taken.process) == ("stopping", stopping.generation, PROCESS)
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.end_act(stopping, reason="late", now=LATER))


async def test_storing_the_new_process_forgets_the_former_one(kernels: KernelStore) -> None:
    record = await restarting(kernels)
    record = await kernels.apply(steps.former_is_dead(record))
    assert record.former is None
    stored = await kernels.apply(storing(record, OTHER))
    assert (stored.former, stored.process) == (None, OTHER)


async def test_an_owner_ends_the_generation_that_died(kernels: KernelStore) -> None:
    record = await running(kernels)
    ended = await kernels.apply(steps.end_dead(record, owner="r1", reason="killed by signal 9", now=LATER))
    assert (ended.phase, ended.reason, ended.ended_at) == ("ended", "killed by signal 9", LATER)


async def test_a_late_notice_of_an_old_death_ends_nothing(kernels: KernelStore) -> None:
    old = await running(kernels)
    record = await kernels.apply(steps.claim_restart(old, act=act("again"), now=LATER))
    await kernels.apply(readying(await kernels.apply(storing(record, OTHER))))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.end_dead(old, owner="r1", reason="died", now=LATER))


async def test_who_is_not_the_owner_ends_nothing(kernels: KernelStore) -> None:
    record = await running(kernels)
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.end_dead(record, owner="r2", reason="died", now=LATER))


def restarting_dead(record: KernelRecord, *, owner: str = "r1", restarts: int = 1) -> Step:
    return steps.restart_dead(
        record, owner=owner, act=act("dead", owner), restarts=restarts, reason="killed by signal 9", now=LATER
    )


async def test_an_owner_claims_the_restart_of_the_generation_that_died(kernels: KernelStore) -> None:
    before = await running(kernels)
    record = await kernels.apply(restarting_dead(before, restarts=3))
    assert (record.phase, record.execution_state, record.owner) == ("restarting", "autorestarting", "r1")
    assert (record.former, record.process) == (PROCESS, None)
    assert (record.restarts, record.reason) == (3, "killed by signal 9")
    assert record.generation == before.generation + 1
    assert record.activity_seq > before.activity_seq


async def test_a_death_is_answered_by_one_restart(kernels: KernelStore) -> None:
    record = await running(kernels)
    await kernels.apply(restarting_dead(record))
    with pytest.raises(StaleWrite):
        await kernels.apply(restarting_dead(record))


async def test_a_late_notice_of_an_old_death_restarts_nothing(kernels: KernelStore) -> None:
    old = await running(kernels)
    record = await kernels.apply(steps.claim_restart(old, act=act("again"), now=LATER))
    await kernels.apply(readying(await kernels.apply(storing(record, OTHER))))
    with pytest.raises(StaleWrite):
        await kernels.apply(restarting_dead(old))


async def test_who_is_not_the_owner_restarts_nothing(kernels: KernelStore) -> None:
    record = await running(kernels)
    with pytest.raises(StaleWrite):
        await kernels.apply(restarting_dead(record, owner="r2"))


@pytest.mark.parametrize("meanwhile", ["claimed", "wanted"])
async def test_what_is_to_be_stopped_is_not_restarted(kernels: KernelStore, meanwhile: str) -> None:
    record = await running(kernels)
    stop = {"claimed": steps.claim_stop("k1", 1, act=act("stop", "r2")), "wanted": steps.want_stopped("k1")}[meanwhile]
    await kernels.apply(stop)
    with pytest.raises(StaleWrite):
        await kernels.apply(restarting_dead(record))


async def test_a_restart_after_a_death_goes_on_counting_with_whoever_takes_it_over(kernels: KernelStore) -> None:
    record = await kernels.apply(restarting_dead(await running(kernels), restarts=2))
    taken = await kernels.apply(steps.take_over_start(record, act=act("c", "r3"), now=LATER))
    assert (taken.restarts, taken.execution_state) == (2, "autorestarting")
    up = await kernels.apply(readying(await kernels.apply(storing(taken, OTHER)), "r3"))
    assert (up.restarts, up.execution_state, up.reason) == (2, "idle", "killed by signal 9")


async def test_a_requested_restart_starts_the_count_of_deaths_anew(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel(restarts=4, reason="killed by signal 9"))
    record = await kernels.apply(steps.claim_restart(record, act=act("again"), now=LATER))
    assert (record.restarts, record.reason, record.execution_state) == (0, None, "restarting")


async def test_an_end_frees_the_slots_in_the_same_write(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel(act=act("stop"), slot="0", user_slot="ann:0"))
    await kernels.apply(steps.end_act(record, reason="shut down", now=LATER))
    assert await kernels.used_slots("slot") == []
    assert await kernels.used_slots("user_slot", "ann") == []


@pytest.mark.parametrize("owner", [None, "dead"])
async def test_an_orphan_is_adopted_once(kernels: KernelStore, owner: str | None) -> None:
    record = await put(kernels, running_kernel(owner=owner))
    adopted = await kernels.apply(steps.adopt(record, replica="r2", now=LATER))
    assert (adopted.owner, adopted.execution_state) == ("r2", "unknown")
    assert adopted.activity_seq > record.activity_seq
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.adopt(record, replica="r3", now=LATER))


async def test_an_opened_connection_is_activity_and_stops_a_cull_read_before(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel())
    opened = await kernels.apply(steps.open_connection("k1", replica="r2", count=1, n=1, now=LATER))
    assert opened.connections["r2"] == ConnectionCount(count=1, n=1)
    assert opened.last_activity == LATER
    assert opened.activity_seq > record.activity_seq


@pytest.mark.parametrize("n", [5, 4])
async def test_a_late_opening_does_not_undo_a_newer_count(kernels: KernelStore, n: int) -> None:
    await put(kernels, running_kernel(connections={"r2": ConnectionCount(count=0, n=5)}))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.open_connection("k1", replica="r2", count=1, n=n, now=LATER))


def opening(record: KernelRecord, session: str, replica: str = "r2", n: int = 1) -> Step:
    claim = next_claim(record.clients, session, replica)
    return steps.open_connection("k1", replica=replica, count=1, n=n, now=LATER, client=claim)


async def test_an_opened_connection_says_in_the_same_write_that_it_is_its_sessions_newest(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel())
    first = await kernels.apply(opening(record, "s"))
    assert first.connections["r2"].count == 1
    assert dict(first.clients) == {"s": ClientHold(replica="r2", n=1)}
    second = await kernels.apply(opening(first, "s", "r3"))
    assert dict(second.clients) == {"s": ClientHold(replica="r3", n=2)}


@pytest.mark.parametrize("connected_before", [False, True])
async def test_of_two_connections_of_a_session_that_were_read_alike_one_loses(
    kernels: KernelStore, connected_before: bool
) -> None:
    record = await put(kernels, running_kernel())
    if connected_before:
        record = await kernels.apply(opening(record, "s"))
    await kernels.apply(opening(record, "s", n=2))
    with pytest.raises(StaleWrite):
        await kernels.apply(opening(record, "s", "r3"))


async def test_connections_of_other_sessions_do_not_stand_in_the_way(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel())
    await kernels.apply(opening(record, "s"))
    both = await kernels.apply(opening(record, "t", "r3"))
    assert set(both.clients) == {"s", "t"}


async def test_a_record_keeps_the_newest_sessions_only(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel())
    for number in range(KEPT + 3):
        record = await kernels.apply(opening(record, f"s{number}", n=number + 1))
    assert set(record.clients) == {f"s{number}" for number in range(3, KEPT + 3)}
    back = await kernels.apply(opening(record, "s0", n=100))
    assert back.clients["s0"].n > max(hold.n for hold in record.clients.values())


async def test_an_ended_kernel_takes_no_connection(kernels: KernelStore) -> None:
    await put(kernels, ended_kernel())
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.open_connection("k1", replica="r2", count=1, n=1, now=LATER))


async def test_an_ended_kernel_is_revived_by_its_user_and_goes_on_counting(kernels: KernelStore) -> None:
    former = await put(
        kernels,
        ended_kernel(
            generation=3, process=OTHER, clients={"s": ClientHold(replica="r1", n=1)}, reason="died", restarts=5
        ),
    )
    anew = queued_kernel(act=act("new"), user_slot="ann:0")
    revived = await kernels.apply(steps.revive(former, anew))
    assert (revived.phase, revived.target, revived.generation) == ("queued", "running", 4)
    assert (revived.process, revived.reason, revived.ended_at, revived.restarts) == (None, None, None, 0)
    assert revived.user_slot == "ann:0"
    assert dict(revived.clients) == {}
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.revive(former, anew))


async def test_a_running_kernel_is_not_revived(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel())
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.revive(replace(record), queued_kernel(act=act("new"))))


async def test_a_phase_of_a_newer_replica_is_untouchable(kernels: KernelStore) -> None:
    record = await put(kernels, running_kernel(phase="hibernating"))
    for step in (
        steps.claim_stop("k1", 1, act=act("stop")),
        steps.claim_restart(record, act=act("again"), now=LATER),
        steps.want_stopped("k1"),
        steps.adopt(record, replica="r2", now=LATER),
        steps.end_dead(record, owner="r1", reason="died", now=LATER),
        restarting_dead(record),
    ):
        with pytest.raises(StaleWrite):
            await kernels.apply(step)


async def test_a_replica_that_leaves_owns_nothing_and_counts_nowhere(kernels: KernelStore) -> None:
    await put(kernels, running_kernel("k1", connections={"r1": ConnectionCount(count=2, n=5)}))
    await put(kernels, running_kernel("k2", owner="r2", connections={"r2": ConnectionCount(count=1, n=1)}))
    await kernels.release("r1", now=LATER)
    left, other = await kernels.get("k1"), await kernels.get("k2")
    assert left is not None
    assert other is not None
    assert (left.owner, dict(left.connections)) == (None, {})
    assert left.last_activity == LATER
    assert (other.owner, other.connections["r2"].count) == ("r2", 1)


@pytest.mark.parametrize("mine", [act("cull"), None])
async def test_a_cull_is_claimed_once_and_says_why(kernels: KernelStore, mine: Act | None) -> None:
    await put(kernels, running_kernel(restarts=2, reason="killed by signal 9"))
    (candidate,) = await kernels.idle_since(NOW, limit=1)
    culled = await kernels.apply(steps.claim_cull(candidate, act=mine, reason="idle"))
    assert (culled.target, culled.reason, culled.restarts) == ("stopped", "idle", 0)
    assert (culled.phase, culled.act) == (("running", None) if mine is None else ("stopping", mine))
    with pytest.raises(StaleWrite):
        await kernels.apply(steps.claim_cull(candidate, act=mine, reason="idle"))
