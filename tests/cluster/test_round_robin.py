"""Every request goes to another replica: every answer must be right all the same."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from uuid import uuid4

from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest

OPERATIONS = 200
MOST_KERNELS = 4  # more would cost time and show nothing new
WEIGHTS = {"execute": 10, "lists": 6, "look": 3, "interrupt": 3, "start": 2, "restart": 1, "delete": 1}


@dataclass
class Model:
    """What must be there: each living kernel with the value of its variable `x`; and the ids of those that are gone."""

    rest: Rest
    kernels: dict[str, int] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    async def start(self, _: str | None) -> None:
        self.kernels[await self.rest.start(name=LIGHT)] = 0

    async def execute(self, kernel_id: str) -> None:
        printed = await self.rest.run(kernel_id, "x = globals().get('x', 0) + 1; print(x)", v1=bool(len(self.gone) % 2))
        self.kernels[kernel_id] += 1
        assert printed == str(self.kernels[kernel_id])

    async def interrupt(self, kernel_id: str) -> None:
        await self.rest.post(f"/api/kernels/{kernel_id}/interrupt", expect=204)

    async def restart(self, kernel_id: str) -> None:
        answer = await self.rest.post(f"/api/kernels/{kernel_id}/restart", expect=200)
        assert answer.json()["id"] == kernel_id
        self.kernels[kernel_id] = 0

    async def delete(self, kernel_id: str) -> None:
        await self.rest.delete(f"/api/kernels/{kernel_id}")
        del self.kernels[kernel_id]
        self.gone.append(kernel_id)

    async def look(self, kernel_id: str) -> None:
        model = await self.rest.get(f"/api/kernels/{kernel_id}")
        assert (model["id"], model["name"]) == (kernel_id, LIGHT)
        for absent in (*self.gone[-1:], str(uuid4())):
            await self.rest.get(f"/api/kernels/{absent}", expect=404)

    async def lists(self, _: str | None) -> None:
        assert await self.rest.listed() == set(self.kernels)


async def test_two_hundred_mixed_operations_in_turn_on_three_replicas_are_all_answered_right(
    rest: Rest, trio: Cluster
) -> None:
    chance = random.Random(20_260_101)
    model = Model(rest)
    for _ in range(OPERATIONS):
        name = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not model.kernels or (name == "start" and len(model.kernels) == MOST_KERNELS):
            name = "lists" if model.kernels else "start"
        target = chance.choice(sorted(model.kernels)) if model.kernels else None
        await getattr(model, name)(target)
    assert {process.kernel_id for process in trio.kernel_processes()} == set(model.kernels)
    assert len(model.gone) > 1
