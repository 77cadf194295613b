from __future__ import annotations

import json
from pathlib import Path

import pytest

from enterprise_gateway.authorization import UserPolicy
from tests.unit.handlers.server import Server, error_of, serving


async def test_kernelspecs_are_listed_with_the_default(server: Server) -> None:
    body = json.loads((await server.ask("GET", "/api/kernelspecs")).body)
    assert body["default"] == "python3"
    assert set(body["kernelspecs"]) == {"python3"}


@pytest.mark.parametrize(("user", "found"), [("alice", 1), ("mallory", 0), ("eve", 0), ("", 1), ("%ff", 1)])
async def test_a_list_for_a_user_leaves_out_what_he_may_not_start(user: str, found: int) -> None:
    async with serving(users=UserPolicy(unauthorized_users=["eve"])) as server:
        body = json.loads((await server.ask("GET", f"/api/kernelspecs?user={user}")).body)
        assert len(body["kernelspecs"]) == found


async def test_one_kernelspec_is_returned(server: Server) -> None:
    response = await server.ask("GET", "/api/kernelspecs/python3")
    assert (response.code, json.loads(response.body)["name"]) == (200, "python3")


async def test_one_kernelspec_is_403_for_a_user_who_may_not_start_it(server: Server) -> None:
    response = await server.ask("GET", "/api/kernelspecs/python3?user=mallory")
    assert response.code == 403
    assert "mallory" in error_of(response)["message"]


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e%2f", "%00", "python3%00"])
async def test_an_unknown_kernelspec_is_404(server: Server, name: str) -> None:
    response = await server.ask("GET", f"/api/kernelspecs/{name}")
    assert response.code == 404
    error_of(response)


async def test_a_logo_has_its_type_and_may_be_kept(server: Server, tmp_path: Path) -> None:
    server.specs.directory = tmp_path
    (tmp_path / "logo-64x64.png").write_bytes(b"PNG")
    response = await server.ask("GET", "/kernelspecs/python3/logo-64x64.png")
    assert (response.code, response.body) == (200, b"PNG")
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Cache-Control"] == "max-age=2592000"
    head = await server.ask("HEAD", "/kernelspecs/python3/logo-64x64.png")
    assert (head.code, head.body, head.headers["Content-Length"]) == (200, b"", "3")


async def test_a_file_that_is_not_there_is_404(server: Server) -> None:
    response = await server.ask("GET", "/kernelspecs/python3/a/b.js")
    assert response.code == 404
    error_of(response)


async def test_a_file_that_is_too_large_for_a_logo_is_404(server: Server, tmp_path: Path) -> None:
    server.specs.directory = tmp_path
    with (tmp_path / "huge").open("wb") as file:
        file.truncate((16 << 20) + 1)
    assert (await server.ask("GET", "/kernelspecs/python3/huge")).code == 404
