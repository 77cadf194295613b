from __future__ import annotations

import hmac
import json
import logging
from typing import Any

import pytest

from enterprise_gateway.handlers.auth import TokenAuth, given_tokens, is_loopback
from enterprise_gateway.handlers.routes import ROUTES
from tests.unit.handlers.server import KERNEL_ID, OTHER_ID, Server, error_of, serving

HEALTH = {"/healthz", "/readyz"}


def addresses() -> list[tuple[str, str]]:
    filled = {"{kernel_id}": KERNEL_ID, "{session_id}": OTHER_ID, "{kernel_name}": "python3", "{file}": "logo.png"}
    found = [(method, route.path) for route in ROUTES for method in route.handler.operations]
    found += [("GET", "/nowhere"), ("GET", "/"), ("PUT", "/api/kernels")]
    for argument, value in filled.items():
        found = [(method, path.replace(argument, value)) for method, path in found]
    return found


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in addresses() if p not in HEALTH])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}, {"Authorization": "Basic c2VjcmV0"}])
async def test_every_route_but_health_asks_for_a_token(method: str, path: str, headers: dict[str, str]) -> None:
    async with serving(tokens=["secret"]) as server:
        response = await server.ask(method, path, headers=headers)
        assert response.code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert server.kernels.asked == []
        if method != "HEAD":
            error_of(response)


@pytest.mark.parametrize("path", sorted(HEALTH))
async def test_health_asks_for_no_token(path: str) -> None:
    async with serving(tokens=["secret"]) as server:
        assert (await server.ask("GET", path)).code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api", {"Authorization": "token secret"}),
        ("/api", {"Authorization": "Token   secret "}),
        ("/api", {"Authorization": "Bearer second"}),
        ("/api", {"Authorization": "bearer admin"}),
        ("/api", {"Authorization": "token schlüssel".encode().decode("latin-1")}),
        ("/api?token=secret", {}),
        ("/api?token=wrong&token=secret", {}),
        ("/api?token=wrong", {"Authorization": "token secret"}),
        ("/api?token=schl%C3%BCssel", {}),
    ],
)
async def test_any_token_that_fits_is_enough(path: str, headers: dict[str, str]) -> None:
    async with serving(tokens=["secret", "second", "schlüssel"], admin_tokens=["admin"]) as server:
        assert (await server.ask("GET", path, headers=headers)).code == 200


def test_tokens_are_compared_in_constant_time_with_all_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(len(other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    tokens = TokenAuth(["first", "second", "x" * 100], username="alice")
    assert tokens.identify([b"first"]) is not None
    assert compared == [32, 32, 32]


def test_the_administrators_token_makes_an_administrator() -> None:
    tokens = TokenAuth(["secret"], ["admin"], username="alice")
    admin, user = tokens.identify([b"admin"]), tokens.identify([b"secret"])
    assert admin is not None
    assert user is not None
    assert (admin.admin, user.admin) == (True, False)


def test_without_a_token_everybody_is_the_process_user() -> None:
    identity = TokenAuth([""], ["admin"], username="alice").identify([])
    assert identity is not None
    assert (identity.username, identity.admin) == ("alice", False)


def test_an_empty_token_fits_nothing() -> None:
    assert given_tokens({"Authorization": "token  "}, {"token": [b""]}) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"])
def test_loopback_has_many_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.nip.io", "0.0.0.0", ""])
def test_names_that_only_look_like_loopback_are_not(host: str) -> None:
    assert not is_loopback(host)


async def test_no_token_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(tokens=["s3cret"]) as server:
        for path in ("/api", "/api/kernels", "/nowhere", "/api/kernels/x", "/api/me", "/healthz"):
            for name in ("token", "TOKEN", "%74oken", "a=b&token"):
                await server.ask("GET", f"{path}?{name}=s3cret")
        server.kernels.failure = RuntimeError("no")
        await server.ask("GET", "/api/kernels?token=s3cret")
    assert "[secret]" in caplog.text
    assert "s3cret" not in caplog.text


class Asked:
    """An authorizer that keeps what it was asked and allows nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        assert user.username == "alice"
        assert handler.current_user is user
        return False


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/api", ("read", "api")),
        ("GET", "/api/status", ("read", "api")),
        ("GET", "/api/swagger.json", ("read", "api")),
        ("GET", "/api/kernels", ("read", "kernels")),
        ("POST", "/api/kernels", ("write", "kernels")),
        ("GET", f"/api/kernels/{KERNEL_ID}", ("read", "kernels")),
        ("DELETE", f"/api/kernels/{KERNEL_ID}", ("write", "kernels")),
        ("POST", f"/api/kernels/{KERNEL_ID}/restart", ("write", "kernels")),
        ("POST", f"/api/kernels/{KERNEL_ID}/interrupt", ("write", "kernels")),
        ("GET", "/api/kernelspecs", ("read", "kernelspecs")),
        ("GET", "/api/kernelspecs/python3", ("read", "kernelspecs")),
        ("HEAD", "/kernelspecs/python3/logo.png", ("read", "kernelspecs")),
        ("GET", "/api/sessions", ("read", "sessions")),
        ("POST", "/api/sessions", ("write", "sessions")),
        ("PATCH", f"/api/sessions/{OTHER_ID}", ("write", "sessions")),
        ("DELETE", f"/api/sessions/{OTHER_ID}", ("write", "sessions")),
    ],
)
async def test_every_route_asks_the_authorizer(method: str, path: str, asked: tuple[str, str]) -> None:
    authorizer = Asked()
    async with serving(authorizer=authorizer) as server:
        response = await server.ask(method, path)
        assert response.code == 403
        assert authorizer.asked == [asked]
        assert server.kernels.asked == []
        assert server.sessions.asked == []


async def test_me_tells_the_identity_and_what_the_authorizer_grants(server: Server) -> None:
    response = await server.ask("GET", "/api/me?permissions=%7B%22kernels%22%3A%5B%22read%22%5D%7D")
    body = json.loads(response.body)
    assert body["identity"] == {
        "username": "alice",
        "name": "alice",
        "display_name": "alice",
        "initials": None,
        "avatar_url": None,
        "color": None,
    }
    assert body["permissions"] == {"kernels": ["read"], "updatable_fields": []}


async def test_me_leaves_out_what_the_authorizer_does_not_grant() -> None:
    async with serving(authorizer=Asked()) as server:
        response = await server.ask("GET", "/api/me?permissions=%7B%22kernels%22%3A%5B%22read%22%5D%7D")
        assert json.loads(response.body)["permissions"]["kernels"] == []


@pytest.mark.parametrize("asked", ["x", "[]", "%7B%22a%22%3A1%7D", "%7B%22a%22%3A%5B1%5D%7D", "%ff", "[" * 100_0])
async def test_malformed_permissions_are_400(server: Server, asked: str) -> None:
    response = await server.ask("GET", f"/api/me?permissions={asked}")
    assert response.code == 400
    error_of(response)
