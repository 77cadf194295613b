"""A real tornado server with the gateway's handlers over small fakes, and what tests ask it with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from enterprise_gateway.authorization import AllowAll, Authorizer, UserPolicy
from enterprise_gateway.errors import missing, not_found
from enterprise_gateway.handlers.auth import TokenAuth
from enterprise_gateway.handlers.options import HandlerOptions
from enterprise_gateway.handlers.routes import make_application
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.services import Channels, Check, GatewayServices, Model
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from persistence import clock
from tests.cluster.waiting import PATIENCE_SECONDS

KERNEL_ID = "11111111-2222-3333-4444-555555555555"
OTHER_ID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
STARTED = "2024-01-01T00:00:00.000000Z"


def kernel_model(kernel_id: str = KERNEL_ID, **changes: Any) -> Model:
    return {
        "id": kernel_id,
        "name": "python3",
        "last_activity": "2024-01-02T03:04:05.678000Z",
        "execution_state": "idle",
        "connections": 1,
        **changes,
    }


@dataclass
class FakeKernels:
    """One kernel lives; what was asked is kept. `failure` is raised by everything, `gate` holds starts back."""

    asked: list[Any] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    withdrawn: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def _note(self, *asked: Any, kernel_id: str = KERNEL_ID) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure
        if kernel_id != KERNEL_ID:
            raise not_found(kernel_id)

    async def start(self, request: StartRequest) -> Model:
        await self._note("start", request)
        self.begun.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        return kernel_model(request.kernel_id or KERNEL_ID)

    async def list_models(self) -> list[Model]:
        await self._note("list")
        return [kernel_model(), kernel_model(OTHER_ID, connections=2, last_activity="2023-01-02T03:04:05.678000Z")]

    async def model(self, kernel_id: str) -> Model:
        await self._note("model", kernel_id, kernel_id=kernel_id)
        return kernel_model()

    async def interrupt(self, kernel_id: str) -> None:
        await self._note("interrupt", kernel_id, kernel_id=kernel_id)

    async def restart(self, kernel_id: str) -> Model:
        await self._note("restart", kernel_id, kernel_id=kernel_id)
        return kernel_model()

    async def shutdown(self, kernel_id: str) -> None:
        await self._note("shutdown", kernel_id, kernel_id=kernel_id)

    async def open_channels(self, kernel_id: str, session_id: str | None) -> Channels:
        raise not_found(kernel_id)


@dataclass
class FakeSessions:
    """Any session exists; what was asked is kept."""

    asked: list[Any] = field(default_factory=list)

    def _model(self, **changes: Any) -> Model:
        return {"id": OTHER_ID, "path": "a.ipynb", "name": "", "type": "notebook", "kernel": kernel_model(), **changes}

    async def create(self, request: SessionRequest) -> Model:
        self.asked.append(request)
        return self._model(path=request.path)

    async def list_models(self) -> list[Model]:
        return [self._model()]

    async def model(self, session_id: str) -> Model:
        if session_id != OTHER_ID:
            raise missing("Session does not exist")
        return self._model()

    async def update(self, session_id: str, changes: SessionChanges) -> Model:
        self.asked.append((session_id, changes))
        return self._model()

    async def delete(self, session_id: str) -> None:
        self.asked.append(("delete", session_id))


@dataclass
class FakeSpecs:
    """One kernelspec, with the files of a directory."""

    directory: Path | None = None

    def _spec(self) -> Model:
        metadata = {"kernel_provisioner": {"config": {"unauthorized_users": "mallory"}}}
        return {"name": "python3", "spec": {"argv": [], "metadata": metadata}, "resources": {}}

    async def all(self) -> Model:
        return {"default": "python3", "kernelspecs": {"python3": self._spec()}}

    async def get(self, name: str) -> Model:
        if name != "python3":
            raise missing(f"Kernel spec {name} not found")
        return self._spec()

    async def resource_path(self, name: str, file: str) -> Path:
        if self.directory is None or not (self.directory / file).is_file():
            raise missing(f"No file {file}")
        return self.directory / file


@dataclass
class FakeHealth:
    """Well, unless told otherwise."""

    live: Sequence[Check] = (Check(name="beats", ok=True),)
    able: Sequence[Check] = (Check(name="database", ok=True),)

    def alive(self) -> Sequence[Check]:
        return self.live

    def ready(self) -> Sequence[Check]:
        return self.able


@dataclass
class Server:
    """A running server, and the fakes behind it."""

    port: int
    kernels: FakeKernels
    sessions: FakeSessions
    specs: FakeSpecs
    health: FakeHealth

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        plain: bool = False,
    ) -> HTTPResponse:
        """Send a request; a body is sent as JSON with its type, unless it is `plain`."""
        content = json.dumps(body).encode() if body is not None else raw
        sent = {} if plain or content is None else {"Content-Type": "application/json"}
        request = HTTPRequest(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            body=content,
            headers={**sent, **(headers or {})},
            allow_nonstandard_methods=True,
            follow_redirects=False,
        )
        return await AsyncHTTPClient().fetch(request, raise_error=False)


def error_of(response: HTTPResponse) -> dict[str, str]:
    """Return the body of an error, which has exactly the two fields."""
    body: dict[str, str] = json.loads(response.body)
    assert set(body) == {"reason", "message"}
    assert response.headers["Content-Type"] == "application/json"
    return body


@asynccontextmanager
async def serving(
    *,
    tokens: Sequence[str] = (),
    admin_tokens: Sequence[str] = (),
    authorizer: Authorizer | None = None,
    users: UserPolicy | None = None,
    extra: Sequence[Route] = (),
    **options: Any,
) -> AsyncIterator[Server]:
    fakes = Server(0, FakeKernels(), FakeSessions(), FakeSpecs(), FakeHealth())
    services = GatewayServices(
        kernels=fakes.kernels,
        sessions=fakes.sessions,
        specs=fakes.specs,
        health=fakes.health,
        auth=TokenAuth(tokens, admin_tokens, username="alice"),
        authorizer=authorizer or AllowAll(),
        users=users or UserPolicy(),
        options=HandlerOptions(process_user="alice", started=STARTED, version="9.9", **options),
    )
    http = HTTPServer(make_application(services, extra=extra))
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    fakes.port = sockets[0].getsockname()[1]
    try:
        yield fakes
    finally:
        http.stop()
        await http.close_all_connections()


async def soon(condition: Callable[[], bool] | Awaitable[Any]) -> None:
    """Wait for a condition, at most some seconds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        if not callable(condition):
            await condition
            return
        while not condition():
            await clock.sleep(0.005)
