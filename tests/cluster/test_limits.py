"""Limits hold for the cluster, not for a replica."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest

LIMIT = 5
SETTINGS = {"EG_MAX_KERNELS_PER_USER": str(LIMIT)}


async def test_of_fifty_starts_at_once_on_three_replicas_exactly_the_allowed_ones_are_made(
    rest: Rest, trio: Cluster
) -> None:
    body = {"name": LIGHT, "env": {"KERNEL_USERNAME": "ada"}}
    answers = await asyncio.gather(*(rest.request("POST", "/api/kernels", body=body) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: LIMIT, 403: 50 - LIMIT}
    started = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert "ada" in refused.json()["message"]
    assert str(LIMIT) in refused.json()["message"]
    assert await rest.listed() == started
    assert {process.kernel_id for process in trio.kernel_processes()} == started


async def test_another_user_is_not_concerned_and_an_ended_kernel_makes_room(rest: Rest) -> None:
    kernels = await asyncio.gather(*(rest.start(name=LIGHT, env={"KERNEL_USERNAME": "ada"}) for _ in range(LIMIT)))
    await rest.start(name=LIGHT, env={"KERNEL_USERNAME": "grace"})
    await rest.post("/api/kernels", {"name": LIGHT, "env": {"KERNEL_USERNAME": "ada"}}, expect=403)
    await rest.delete(f"/api/kernels/{kernels[0]}")
    await rest.start(name=LIGHT, env={"KERNEL_USERNAME": "ada"})
