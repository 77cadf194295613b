from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketHandler, websocket_connect

from enterprise_gateway.handlers.base import GuardedHandler
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.services import Model
from enterprise_gateway.sessions.requests import SessionRequest
from tests.unit.handlers.server import KERNEL_ID, PATIENCE_SECONDS, Server, error_of, serving, soon


async def send(server: Server, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


def post(path: str, *, headers: str = "", body: bytes = b"{}") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def waiting(server: Server) -> AsyncIterator[Server]:
    """A server whose kernels don't come up until the gate is opened."""
    server.kernels.gate = asyncio.Event()
    yield server
    server.kernels.gate.set()


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> asyncio.Event:
    """Set when the server has seen a client go away in the middle of a request."""
    caplog.set_level("INFO")
    seen = asyncio.Event()
    real = ApiHandler.on_connection_close

    def on_connection_close(self: ApiHandler) -> None:
        real(self)
        seen.set()

    monkeypatch.setattr(ApiHandler, "on_connection_close", on_connection_close)
    return seen


@pytest.mark.parametrize(
    "path", ["/nowhere", "/", "/api/", "/api/kernels/", "/api/kernels/a/b", "/kernelspecs/python3/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_address_is_404_as_json(server: Server, path: str, method: str) -> None:
    response = await server.ask(method, path)
    assert response.code == 404
    assert "swagger" in error_of(response)["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "BREW"])
async def test_an_unknown_method_is_405_and_names_those_that_are_known(server: Server, method: str) -> None:
    response = await server.ask(method, "/api/kernels")
    assert response.code == 405
    assert response.headers["Allow"] == "GET, POST, OPTIONS"
    if method != "HEAD":
        error_of(response)


@pytest.mark.parametrize("method", ["PUT", "TRACE", "BREW", "FINISH", "_REFUSE"])
async def test_no_method_is_known_to_who_has_no_token(method: str) -> None:
    async with serving(tokens=["secret"]) as server:
        for path in ("/api/kernels", "/nowhere", f"/api/kernels/{KERNEL_ID}/restart"):
            response = await server.ask(method, path)
            assert (response.code, error_of(response)["reason"]) == (401, "Unauthorized")
            known = await server.ask(method, f"{path}?token=secret")
            assert known.code == (404 if (method, path) == ("PUT", "/nowhere") else 405)


async def test_a_body_that_is_too_long_is_413_and_the_connection_stays() -> None:
    async with serving(max_body_bytes=1000) as server:
        reader, writer = await send(server, post("/api/kernels", body=b" " * 2_000_000))
        answer = await reader.readuntil(b"}")
        assert answer.startswith(b"HTTP/1.1 413 Request Entity Too Large")
        assert b"limit of 1000 bytes" in answer
        writer.write(post("/api/kernels"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")
        writer.close()


async def test_a_body_in_chunks_is_413_when_it_grows_too_long() -> None:
    async with serving(max_body_bytes=1000) as server:
        head = post("/api/kernels", body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        reader, writer = await send(server, head + (b"200\r\n" + b" " * 512 + b"\r\n") * 3 + b"0\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_body_without_an_end_is_answered_and_not_read_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enterprise_gateway.handlers.json_api.DRAIN_LIMIT_BYTES", 10_000)
    async with serving(max_body_bytes=1000) as server:
        head = post("/api/kernels", body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        reader, writer = await send(server, head + (b"200\r\n" + b" " * 512 + b"\r\n") * 512)
        answer = await reader.readuntil(b"}")
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"\r\nConnection: close\r\n" in answer
        assert b"limit of 1000 bytes" in answer
        writer.close()


async def test_who_asks_before_he_sends_gets_413_at_once() -> None:
    async with serving(max_body_bytes=1000) as server:
        head = post("/api/kernels", headers="Expect: 100-continue\r\n", body=b" " * 2000).rstrip(b" ")
        reader, writer = await send(server, head)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"\r\nConnection: close\r\n" in answer
        writer.close()


async def test_an_absurd_length_is_413_without_reading(server: Server) -> None:
    head = post("/api/kernels", body=b"").replace(b"Length: 0", b"Length: 99999999999")
    reader, writer = await send(server, head)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"\r\nConnection: close\r\n" in answer
    writer.close()


async def test_a_length_of_endless_digits_is_no_fault_of_the_gateway(server: Server) -> None:
    head = post("/api/kernels", body=b"").replace(b"Length: 0", b"Length: " + b"9" * 5000)
    reader, writer = await send(server, head)
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_refusal_waits_for_a_body_that_comes_late() -> None:
    async with serving(tokens=["secret"]) as server:
        whole = post("/api/kernels", body=b'{"name": "python3"}')
        reader, writer = await send(server, whole[:-10])
        writer.write(whole[-10:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        await reader.readuntil(b"}")
        writer.write(post("/api/kernels?token=secret"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")
        writer.close()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "line 1, column 2"),
        (b"\xff", "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
    ],
)
async def test_malformed_json_is_400_and_says_what_is_wrong(server: Server, raw: bytes, says: str) -> None:
    response = await server.ask("POST", "/api/kernels", raw=raw)
    assert (response.code, response.reason) == (400, "Invalid JSON")
    assert says in error_of(response)["message"]


async def test_every_answer_has_the_safe_headers(server: Server) -> None:
    for path in ("/api", "/nowhere", "/healthz"):
        headers = (await server.ask("GET", path)).headers
        assert headers["Content-Security-Policy"] == "frame-ancestors 'self'; default-src 'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers


@pytest.mark.parametrize("refused", ["GET /api/kernels", "DELETE /api/kernels/x", "GET /nowhere", "POST /api/kernels"])
async def test_a_connection_is_good_for_more_after_a_refusal(refused: str) -> None:
    async with serving(tokens=["secret"]) as server, asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await send(server, f"{refused} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        rest = await reader.read()
        writer.close()
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"HTTP/1.1 200 OK\r\n" in rest


@pytest.mark.parametrize("base_url", ["/gw/", "gw", "/gw"])
async def test_all_routes_are_under_the_base_url(base_url: str) -> None:
    async with serving(base_url=base_url) as server:
        created = await server.ask("POST", "/gw/api/kernels", {})
        assert (created.code, created.headers["Location"]) == (201, f"/gw/api/kernels/{KERNEL_ID}")
        assert (await server.ask("GET", "/gw/healthz")).code == 200
        assert (await server.ask("GET", "/api/kernels")).code == 404


async def test_an_address_without_the_base_url_is_told_how_paths_begin() -> None:
    async with serving(base_url="/gateway/") as server:
        without = error_of(await server.ask("GET", "/api/kernels"))["message"]
        assert "This gateway's paths begin with /gateway/" in without
        assert "/gateway/api/swagger.json" in error_of(await server.ask("GET", "/gateway/nowhere"))["message"]


async def test_a_client_that_goes_away_withdraws_its_launch(waiting: Server) -> None:
    _, writer = await send(waiting, post("/api/kernels"))
    await soon(waiting.kernels.begun.wait())
    writer.close()
    await soon(waiting.kernels.withdrawn.wait())


@pytest.mark.parametrize(
    ("headers", "body"), [("Idempotency-Key: k\r\n", b"{}"), ("", b'{"kernel_id": "%s"}' % KERNEL_ID.encode())]
)
async def test_a_client_that_can_come_back_withdraws_nothing(
    waiting: Server, gone: asyncio.Event, headers: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await send(waiting, post("/api/kernels", headers=headers, body=body))
    await soon(waiting.kernels.begun.wait())
    writer.close()
    await soon(gone.wait())
    assert waiting.kernels.gate is not None
    waiting.kernels.gate.set()
    await soon(lambda: "201 POST /api/kernels" in caplog.text)
    assert not waiting.kernels.withdrawn.is_set()
    assert not [entry for entry in caplog.records if entry.levelname == "ERROR"]


async def test_a_session_is_withdrawn_like_a_kernel(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, withdrawn = asyncio.Event(), asyncio.Event()

    async def create(request: SessionRequest) -> Model:
        opening.set()
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn.set()
        return {}

    monkeypatch.setattr(server.sessions, "create", create)
    _, writer = await send(server, post("/api/sessions", body=b'{"path": "a", "type": "notebook"}'))
    await soon(opening.wait())
    writer.close()
    await soon(withdrawn.wait())


async def test_a_restart_goes_on_without_its_client(
    server: Server, gone: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarting, go_on, restarted = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def restart(kernel_id: str) -> Model:
        restarting.set()
        await go_on.wait()
        restarted.set()
        return {}

    monkeypatch.setattr(server.kernels, "restart", restart)
    _, writer = await send(server, post(f"/api/kernels/{KERNEL_ID}/restart"))
    await soon(restarting.wait())
    writer.close()
    await soon(gone.wait())
    go_on.set()
    await soon(restarted.wait())


async def test_a_client_that_goes_away_before_its_body_is_whole_starts_nothing(
    server: Server, gone: asyncio.Event
) -> None:
    _, writer = await send(server, post("/api/kernels")[:-1])
    writer.close()
    await soon(gone.wait())
    assert server.kernels.asked == []


class Echo(GuardedHandler, WebSocketHandler):
    """Says back what it hears."""

    auth_resource = "kernels"
    auth_action = "execute"

    def on_message(self, message: str | bytes) -> None:
        assert self.current_user is not None
        self.write_message(message)


ECHO = [Route(path="/echo", handler=Echo)]


async def websocket(server: Server, path: str = "/echo", **headers: str) -> str | bytes | None:
    request = HTTPRequest(f"ws://127.0.0.1:{server.port}{path}", headers=headers)
    connection = await websocket_connect(request)
    await connection.write_message("hello")
    heard = await connection.read_message()
    connection.close()
    assert await connection.read_message() is None
    return heard


async def test_a_websocket_passes_with_a_token() -> None:
    async with serving(tokens=["secret"], extra=ECHO) as server:
        assert await websocket(server, Authorization="token secret", Origin="https://lab.example.org") == "hello"
        assert await websocket(server, "/echo?token=secret") == "hello"


@pytest.mark.parametrize(
    ("tokens", "headers", "status"),
    [
        (["secret"], {}, 401),
        (["secret"], {"Authorization": "token wrong"}, 401),
        ([], {"Origin": "https://evil.example.org"}, 403),
        ([], {"Host": "evil.example.org"}, 403),
    ],
)
async def test_a_websocket_is_guarded_like_any_route(tokens: list[str], headers: dict[str, str], status: int) -> None:
    async with serving(tokens=tokens, extra=ECHO) as server:
        with pytest.raises(HTTPClientError) as refused:
            await websocket(server, **headers)
        assert refused.value.code == status


class Reader:
    """An authorizer that lets read only."""

    def is_authorized(self, handler: object, user: object, action: str, resource: str) -> bool:
        return action == "read"


async def test_a_websocket_needs_the_right_to_execute() -> None:
    async with serving(authorizer=Reader(), extra=ECHO) as server:
        with pytest.raises(HTTPClientError) as refused:
            await websocket(server)
        assert refused.value.code == 403
        assert (await server.ask("GET", "/api/kernels")).code == 200


async def test_status_counts_kernels_and_connections(server: Server) -> None:
    body = json.loads((await server.ask("GET", "/api/status")).body)
    assert body == {
        "started": "2024-01-01T00:00:00.000000Z",
        "last_activity": "2024-01-02T03:04:05.678000Z",
        "kernels": 2,
        "connections": 3,
    }


async def test_the_version_has_both_names(server: Server) -> None:
    assert json.loads((await server.ask("GET", "/api")).body) == {"version": "2.21.1", "gateway_version": "9.9"}
