"""Clients at work while a test makes trouble. They know nothing of it: what they were told must hold all the same.

A client is told 503 as often as it takes, and asks again. Whatever else is wrong: a kernel that was acknowledged and is
404, or missing from a list, or there twice; a cell that does not run on a kernel that opens.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from tornado.httpclient import HTTPError

from persistence import clock
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.light_kernels import LIGHT
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

KEY = "Idempotency-Key"
PAUSE_SECONDS = 0.1


class Traffic:
    """Some clients, each of which starts a kernel, uses it, and shuts it down, over and over.

    Args:
        rest: How they reach the replicas.
        clients: How many.

    Attributes:
        rounds: How many were brought to their end.
        alive: The kernels that clients were told they have, and did not give up.
    """

    def __init__(self, rest: Rest, *, clients: int) -> None:
        self.rounds = 0
        self.alive: set[str] = set()
        self._rest = rest
        self._over = asyncio.Event()
        self._tasks = [asyncio.ensure_future(self._client()) for _ in range(clients)]

    async def __aenter__(self) -> Self:
        await self.goes_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if error is not None:
            for task in self._tasks:
                task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if error is None and isinstance(result, BaseException):
                raise result

    async def goes_on(self) -> None:
        """Return when every client may have had a round since now; raise what a client has found wrong."""
        enough = self.rounds + len(self._tasks)
        await eventually(
            lambda: self.rounds >= enough or any(task.done() for task in self._tasks), "clients are served"
        )
        for task in self._tasks:
            if task.done():
                task.result()

    async def _client(self) -> None:
        while not self._over.is_set():
            kernel_id = await self._start()
            self.alive.add(kernel_id)
            await self._check_listed()
            await self._use(kernel_id)
            self.alive.remove(kernel_id)
            await self._shut_down(kernel_id)
            self.rounds += 1

    async def _start(self) -> str:
        options = {"body": {"name": LIGHT}, "headers": {KEY: uuid4().hex}}
        answer = await self._insist("POST", "/api/kernels", **options)
        assert answer.status_code == 201, answer.text
        kernel_id: str = answer.json()["id"]
        return kernel_id

    async def _check_listed(self) -> None:
        before = set(self.alive)
        answer = await self._insist("GET", "/api/kernels")
        assert answer.status_code == 200, answer.text
        assert before & self.alive <= {kernel["id"] for kernel in answer.json()}

    async def _use(self, kernel_id: str) -> None:
        answer = await self._insist("GET", f"/api/kernels/{kernel_id}")
        assert answer.status_code == 200, answer.text
        async with await self._open(kernel_id) as kernel:
            assert (await kernel.execute("print(6 * 7)")).printed() == "42"

    async def _open(self, kernel_id: str) -> KernelSocket:
        while True:
            try:
                return await self._rest.open(kernel_id)
            except HTTPError as error:
                if error.code != 503:
                    raise
                await clock.sleep(PAUSE_SECONDS)

    async def _shut_down(self, kernel_id: str) -> None:
        answer = await self._insist("DELETE", f"/api/kernels/{kernel_id}")
        # A repeat that finds it gone is answered so: the first one has done it.
        assert answer.status_code == 204 or (answer.status_code == 404 and answer.request.extensions["repeated"])

    async def _insist(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask until the answer is another than 503."""
        repeated = False
        while True:
            answer = await self._rest.request(method, path, **options)
            answer.request.extensions["repeated"] = repeated
            if answer.status_code != 503:
                return answer
            assert answer.headers["Retry-After"]
            repeated = True
            await clock.sleep(PAUSE_SECONDS)
