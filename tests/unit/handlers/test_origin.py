from __future__ import annotations

import pytest

from enterprise_gateway.handlers.options import CorsOptions
from enterprise_gateway.handlers.origin import host_allowed, origin_allowed
from tests.unit.handlers.server import KERNEL_ID, Server, error_of, serving

PREFLIGHT = {"Origin": "https://lab.example.org", "Access-Control-Request-Method": "POST"}
PATHS = [
    "/api",
    "/api/kernels",
    "/api/kernelspecs",
    "/api/sessions",
    f"/api/kernels/{KERNEL_ID}",
    "/healthz",
    "/nowhere",
]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:8888", True),
        ("LocalHost.", True),
        ("127.0.0.1:8888", True),
        ("[::1]:8888", True),
        ("evil.example.org", False),
        ("127.0.0.1.evil.example.org", False),
        ("localhost@evil.example.org", False),
        ("192.168.1.2:8888", False),
        ("hub.internal:80", True),
        ("[::1", False),
        ("", False),
    ],
)
def test_a_host_must_be_this_machine_or_allowed(host: str, allowed: bool) -> None:
    assert host_allowed(host, ["Hub.internal"]) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:8888", True),
        ("HTTP://LOCALHOST:8888", True),
        ("http://localhost:9999", False),
        ("https://lab.example.org", True),
        ("https://other.example.org", True),
        ("https://evil.example.org", False),
        ("null", False),
        ("", False),
        ("http://[::1", False),
    ],
)
def test_an_origin_must_be_the_servers_own_or_named(origin: str | None, allowed: bool) -> None:
    cors = CorsOptions(allow_origin="https://lab.example.org/, https://other.example.org")
    assert origin_allowed(origin, "localhost:8888", cors) is allowed


def test_a_star_lets_no_origin_in_without_a_token() -> None:
    assert not origin_allowed("https://evil.example.org", "localhost", CorsOptions(allow_origin="*"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{"Host": "evil.example.org"}, {"Origin": "https://evil.example.org"}])
async def test_without_a_token_every_route_refuses_strangers(
    server: Server, path: str, headers: dict[str, str]
) -> None:
    response = await server.ask("GET", path, headers=headers)
    assert response.code == 403
    assert "evil.example.org" in error_of(response)["message"]
    assert server.kernels.asked == []


async def test_with_a_token_host_and_origin_do_not_matter() -> None:
    async with serving(tokens=["secret"]) as server:
        headers = {"Host": "gateway.example.org", "Origin": "https://lab.example.org", "Authorization": "token secret"}
        response = await server.ask("GET", "/api/kernels", headers=headers)
        assert response.code == 200
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_remote_access_turns_the_check_of_host_off() -> None:
    async with serving(allow_remote_access=True) as server:
        assert (await server.ask("GET", "/api", headers={"Host": "gateway.example.org"})).code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["/api/kernels", "/api/sessions", f"/api/kernels/{KERNEL_ID}/interrupt"])
async def test_without_a_token_a_body_must_be_sent_as_json(server: Server, path: str, content_type: str) -> None:
    response = await server.ask("POST", path, raw=b"{}", headers={"Content-Type": content_type})
    assert response.code == 415
    assert "application/json" in error_of(response)["message"]
    assert server.kernels.asked == []


async def test_a_charset_beside_the_type_is_fine(server: Server) -> None:
    response = await server.ask("POST", "/api/kernels", {}, headers={"Content-Type": "application/JSON; charset=UTF-8"})
    assert response.code == 201


async def test_with_a_token_any_type_is_fine() -> None:
    async with serving(tokens=["secret"]) as server:
        response = await server.ask("POST", "/api/kernels?token=secret", {}, plain=True)
        assert response.code == 201


async def test_a_preflight_needs_no_token_and_names_what_may_be_sent() -> None:
    async with serving(tokens=["secret"], cors=CorsOptions(allow_origin="https://lab.example.org")) as server:
        response = await server.ask("OPTIONS", "/api/kernels", headers=PREFLIGHT)
        assert (response.code, response.body) == (204, b"")
        assert response.headers["Access-Control-Allow-Origin"] == "https://lab.example.org"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_a_preflight_allows_nothing_where_no_origin_is_configured() -> None:
    async with serving(tokens=["secret"]) as server:
        response = await server.ask("OPTIONS", "/api/kernels", headers=PREFLIGHT)
        assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/api/kernels", "/api/kernels/x", "/nowhere"])
async def test_configured_headers_are_on_every_answer_errors_too(path: str) -> None:
    cors = CorsOptions(
        allow_origin="*",
        allow_credentials="true",
        expose_headers="X-A",
        allow_methods="GET",
        allow_headers="X-B",
        max_age="60",
    )
    async with serving(tokens=["secret"], cors=cors) as server:
        answer = (await server.ask("GET", f"{path}?token=secret")).headers
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert answer["Access-Control-Allow-Credentials"] == "true"
        assert answer["Access-Control-Expose-Headers"] == "X-A"
        preflight = (await server.ask("OPTIONS", path, headers=PREFLIGHT)).headers
        assert preflight["Access-Control-Allow-Methods"] == "GET"
        assert preflight["Access-Control-Allow-Headers"] == "X-B"
        assert preflight["Access-Control-Max-Age"] == "60"


async def test_of_several_origins_the_one_that_asks_is_named() -> None:
    cors = CorsOptions(allow_origin="https://a.example.org,https://b.example.org")
    async with serving(tokens=["secret"], cors=cors) as server:
        named = await server.ask("GET", "/api?token=secret", headers={"Origin": "https://b.example.org"})
        assert named.headers["Access-Control-Allow-Origin"] == "https://b.example.org"
        assert named.headers["Vary"] == "Origin"
        other = await server.ask("GET", "/api?token=secret", headers={"Origin": "https://evil.example.org"})
        assert "Access-Control-Allow-Origin" not in other.headers
