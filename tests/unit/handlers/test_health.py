from __future__ import annotations

import json

import pytest

from enterprise_gateway.handlers.services import Check
from tests.unit.handlers.server import Server

AWAY = Check(name="database", ok=False, message="no answer for 7 s")


async def test_liveness_is_200_while_beats_are_attempted(server: Server) -> None:
    server.health.able = [AWAY]
    response = await server.ask("GET", "/healthz")
    assert response.code == 200
    assert json.loads(response.body) == {"status": "alive", "checks": [{"name": "beats", "ok": True, "message": ""}]}


async def test_readiness_is_503_and_says_why(server: Server) -> None:
    server.health.able = [Check(name="draining", ok=True), AWAY]
    response = await server.ask("GET", "/readyz")
    assert response.code == 503
    assert "Retry-After" in response.headers
    body = json.loads(response.body)
    assert body["status"] == "not ready"
    assert body["checks"][1] == {"name": "database", "ok": False, "message": "no answer for 7 s"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_probe_may_use_head(server: Server, path: str) -> None:
    response = await server.ask("HEAD", path)
    assert (response.code, response.body) == (200, b"")


async def test_probes_are_kept_out_of_the_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await server.ask("GET", "/healthz")
    assert "healthz" not in caplog.text
