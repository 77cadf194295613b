"""A plain client of the REST API that sends each request to the next replica, as a balancer without stickiness does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from tornado.httpclient import HTTPError

from persistence import clock
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.waiting import PATIENCE_SECONDS

PAUSE_SECONDS = 0.1


class Rest:
    """Requests to replicas in turn, or to one by its number.

    Args:
        urls: The replicas.
        token: Sent with each request; "" sends none.
    """

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self.urls = list(urls)
        self.token = token
        self._turn = itertools.cycle(range(len(self.urls)))
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"token {token}"} if token else {},
            timeout=2 * PATIENCE_SECONDS,  # a start may wait its turn behind thirty others
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    def url(self, path: str, on: int | None = None) -> str:
        """The address of `path` on replica `on`, else on the next one."""
        return self.urls[next(self._turn) if on is None else on] + path

    async def request(
        self,
        method: str,
        path: str,
        *,
        on: int | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request; whatever is answered is returned."""
        return await self._client.request(method, self.url(path, on), json=body, headers=dict(headers or {}))

    async def get(self, path: str, *, on: int | None = None, expect: int = 200) -> Any:
        """GET, and return the body read as JSON."""
        return (await self.expect(expect, "GET", path, on=on)).json()

    async def post(self, path: str, body: Any = None, *, on: int | None = None, expect: int = 201) -> httpx.Response:
        """POST, and fail unless the status is `expect`."""
        return await self.expect(expect, "POST", path, on=on, body={} if body is None else body)

    async def delete(self, path: str, *, on: int | None = None, expect: int = 204) -> httpx.Response:
        """DELETE, and fail unless the status is `expect`."""
        return await self.expect(expect, "DELETE", path, on=on)

    async def expect(self, status: int, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and fail unless it is answered by `status`."""
        answer = await self.request(method, path, **options)
        assert answer.status_code == status, f"{method} {answer.url}: {answer.status_code} {answer.text[:500]}"
        return answer

    async def start(self, *, on: int | None = None, env: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Start a kernel and return its id."""
        body = {"name": "python3", **fields, **({"env": dict(env)} if env else {})}
        kernel_id: str = (await self.post("/api/kernels", body, on=on)).json()["id"]
        return kernel_id

    async def listed(self, *, on: int | None = None) -> set[str]:
        """The ids of the kernels that a replica lists."""
        return {kernel["id"] for kernel in await self.get("/api/kernels", on=on)}

    async def open(
        self, kernel_id: str, *, on: int | None = None, v1: bool = True, session_id: str | None = None
    ) -> KernelSocket:
        """Open the kernel's channels."""
        return await KernelSocket.open(
            self.url(f"/api/kernels/{kernel_id}/channels", on), token=self.token, v1=v1, session_id=session_id
        )

    async def run(self, kernel_id: str, code: str, *, on: int | None = None, v1: bool = True) -> str:
        """Run code on a connection of its own and return what it printed; fail if it raised."""
        async with await self.open(kernel_id, on=on, v1=v1) as kernel:
            return (await kernel.execute(code)).printed()


class Insistent(Rest):
    """Asks again when it is told 503, as a client does. Its starts have an id, so that a repeat is the same start."""

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request until the answer is another than 503."""
        while True:
            answer = await self.once(method, path, **options)
            if answer.status_code != 503:
                return answer
            assert answer.headers["Retry-After"], answer.text
            await clock.sleep(PAUSE_SECONDS)

    async def once(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request; whatever is answered is returned."""
        return await super().request(method, path, **options)

    async def start(self, *, on: int | None = None, env: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Start a kernel and return its id."""
        return await super().start(on=on, env=env, **{"kernel_id": str(uuid4()), **fields})

    async def open(self, kernel_id: str, **options: Any) -> KernelSocket:
        """Open the kernel's channels."""
        while True:
            try:
                return await super().open(kernel_id, **options)
            except HTTPError as error:
                if error.code != 503:
                    raise
                await clock.sleep(PAUSE_SECONDS)
