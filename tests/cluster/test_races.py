"""Two replicas that do the same thing at once: in the end one kernel or none, never two."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

ROUNDS = range(3)


async def is_whole(rest: Rest, trio: Cluster, kernel_id: str) -> None:
    """Check that the kernel runs once, and answers on every replica."""
    await eventually(lambda: len(trio.kernel_processes(kernel_id)) == 1, f"{kernel_id} runs once")
    pids = {await rest.run(kernel_id, "import os; print(os.getpid())", on=on) for on in range(3)}
    assert pids == {str(process.pid) for process in trio.kernel_processes(kernel_id)}


async def is_gone(rest: Rest, trio: Cluster, kernel_id: str) -> None:
    """Check that nothing of the kernel is left on any replica, nor on the host."""
    for on in range(3):
        await rest.get(f"/api/kernels/{kernel_id}", on=on, expect=404)
    assert kernel_id not in await rest.listed()
    await eventually(lambda: not trio.kernel_processes(kernel_id), f"{kernel_id} has no process")


@pytest.mark.parametrize("_round", ROUNDS)
async def test_two_replicas_that_restart_one_kernel_leave_one_kernel(rest: Rest, trio: Cluster, _round: int) -> None:
    kernel_id = await rest.start(name=LIGHT)
    answers = await asyncio.gather(
        *(rest.request("POST", f"/api/kernels/{kernel_id}/restart", on=on, body={}) for on in (0, 1))
    )
    assert {answer.status_code for answer in answers} == {200}
    await is_whole(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_two_replicas_that_delete_one_kernel_leave_none(rest: Rest, trio: Cluster, _round: int) -> None:
    kernel_id = await rest.start(name=LIGHT)
    answers = await asyncio.gather(*(rest.request("DELETE", f"/api/kernels/{kernel_id}", on=on) for on in (0, 1)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert statuses[1] in (204, 404)
    await is_gone(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_a_delete_wins_over_a_restart_at_the_same_time(rest: Rest, trio: Cluster, _round: int) -> None:
    kernel_id = await rest.start(name=LIGHT)
    restarted, deleted = await asyncio.gather(
        rest.request("POST", f"/api/kernels/{kernel_id}/restart", on=0, body={}),
        rest.request("DELETE", f"/api/kernels/{kernel_id}", on=1),
    )
    assert deleted.status_code == 204, deleted.text
    assert restarted.status_code in (200, 404, 409), restarted.text
    await is_gone(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_two_replicas_that_open_one_session_get_one_session_and_one_kernel(
    rest: Rest, trio: Cluster, _round: int
) -> None:
    body = {"path": "shared.ipynb", "name": "shared.ipynb", "type": "notebook", "kernel": {"name": LIGHT}}
    answers = await asyncio.gather(*(rest.post("/api/sessions", body, on=on) for on in (0, 1)))
    sessions = {answer.json()["id"]: answer.json()["kernel"]["id"] for answer in answers}
    assert len(sessions) == 1
    (kernel_id,) = sessions.values()
    await eventually(lambda: {p.kernel_id for p in trio.kernel_processes()} == {kernel_id}, "only its kernel runs")
    assert [session["id"] for session in await rest.get("/api/sessions")] == list(sessions)
    await is_whole(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_two_replicas_that_give_one_session_another_kernel_leave_one_kernel(
    rest: Rest, trio: Cluster, _round: int
) -> None:
    opened = await rest.post("/api/sessions", {"path": "p.ipynb", "type": "notebook", "kernel": {"name": LIGHT}})
    session = f"/api/sessions/{opened.json()['id']}"
    body = {"kernel": {"name": LIGHT}}
    answers = await asyncio.gather(*(rest.request("PATCH", session, on=on, body=body) for on in (0, 1)))
    assert {answer.status_code for answer in answers} == {200}
    (kernel_id,) = {answer.json()["kernel"]["id"] for answer in answers}
    await eventually(lambda: {p.kernel_id for p in trio.kernel_processes()} == {kernel_id}, "only its kernel runs")
    await is_whole(rest, trio, kernel_id)


@pytest.mark.parametrize("_round", ROUNDS)
async def test_a_session_that_is_deleted_while_it_gets_another_kernel_leaves_none(
    rest: Rest, trio: Cluster, _round: int
) -> None:
    opened = await rest.post("/api/sessions", {"path": "p.ipynb", "type": "notebook", "kernel": {"name": LIGHT}})
    session = f"/api/sessions/{opened.json()['id']}"
    changed, deleted = await asyncio.gather(
        rest.request("PATCH", session, on=0, body={"kernel": {"name": LIGHT}}),
        rest.request("DELETE", session, on=1),
    )
    assert deleted.status_code == 204, deleted.text
    assert changed.status_code in (200, 404, 409), changed.text
    await eventually(lambda: not trio.kernel_processes(), "no kernel is left")
    assert await rest.get("/api/sessions") == []
