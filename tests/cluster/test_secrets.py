"""One request's environment reaches no other kernel, and no secret leaves its place."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

import httpx

from tests.cluster.light_kernels import LIGHT
from tests.cluster.replicas import PLANTED, Cluster
from tests.cluster.rest import Rest

STARTS = 30
SETTINGS = {"EG_CLIENT_ENVS": "SECRET_OF_REQUEST", "EG_KERNEL_LAUNCH_TIMEOUT": "170"}


def sentinel_env(user: str, number: int) -> dict[str, str]:
    """An environment that tells whose it is, and holds a secret."""
    return {
        "KERNEL_USERNAME": user,
        f"KERNEL_OF_{user.upper()}": f"kernel-secret-{user}-{secrets.token_hex(8)}",
        "SECRET_OF_REQUEST": f"request-secret-{user}-{number}-{secrets.token_hex(8)}",
        "NOT_ALLOWED": f"dropped-secret-{secrets.token_hex(8)}",
    }


async def test_among_thirty_concurrent_starts_each_kernel_sees_its_own_request_and_nothing_else(
    rest: Rest, trio: Cluster
) -> None:
    envs = [sentinel_env(("ada", "grace")[number % 2], number) for number in range(STARTS)]
    kernels = await asyncio.gather(*(rest.start(name=LIGHT, env=env) for env in envs))
    seen = {process.kernel_id: process.environment for process in trio.kernel_processes()}
    assert set(seen) == set(kernels)
    for kernel_id, env in zip(kernels, envs, strict=True):
        for other in envs:
            for name, value in other.items():
                expected = name != "NOT_ALLOWED" and (env is other or env.get(name) == value)
                assert (f"{name}={value}" in seen[kernel_id].splitlines()) == expected, name
        assert PLANTED not in seen[kernel_id]
        assert trio.token not in seen[kernel_id]
        assert trio.sealing_key not in seen[kernel_id]
        assert "EG_" not in {line[:3] for line in seen[kernel_id].splitlines()}


async def test_no_secret_is_in_a_dump_of_the_database_in_a_log_or_in_an_answer(rest: Rest, trio: Cluster) -> None:
    env = sentinel_env("ada", 0)
    answers = [await rest.request("POST", "/api/kernels", body={"name": "python3", "env": env})]
    kernel_id = answers[0].json()["id"]
    key = connection_key(trio, kernel_id)
    answers += [await rest.request("POST", f"/api/kernels/{kernel_id}/restart", body={}) for _ in range(2)]
    hidden = {trio.token, trio.sealing_key, trio.planted, key, connection_key(trio, kernel_id)}
    hidden |= {value for name, value in env.items() if name != "KERNEL_USERNAME"}
    await rest.run(kernel_id, "print(1)", v1=False)
    answers += await all_kinds_of_answers(rest, kernel_id, env)
    shown = [trio.logs, *(str(answer.headers) + answer.text for answer in answers)]
    assert len(hidden) == 8
    for secret in hidden:
        assert not [text for text in shown if secret in text]
        assert not [raw for raw in trio.dump() if secret.encode() in raw]


def connection_key(trio: Cluster, kernel_id: str) -> str:
    """The key that signs the kernel's messages, from its own connection file."""
    (file,) = (trio.runtime / "k").glob(f"*/{kernel_id}.*/*.json")
    key: str = json.loads(Path(file).read_text())["key"]
    assert len(key) >= 32
    return key


async def all_kinds_of_answers(rest: Rest, kernel_id: str, env: dict[str, str]) -> list[httpx.Response]:
    """Good answers and errors of many routes, some of requests that carry a secret."""
    asked = [
        ("GET", "/api/kernels", None),
        ("GET", f"/api/kernels/{kernel_id}", None),
        ("GET", "/api/sessions", None),
        ("GET", "/api/kernelspecs", None),
        ("GET", "/api/status", None),
        ("GET", "/api/me", None),
        ("GET", "/api/swagger.json", None),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("GET", f"/api/kernels?token={rest.token}", None),
        ("GET", "/nowhere", None),
        ("POST", "/api/kernels", {"name": "no-such-kernel", "env": env}),
        ("POST", "/api/kernels", {"name": "python3", "env": {**env, "KERNEL_LAUNCH_TIMEOUT": "soon"}}),
        ("POST", "/api/kernels", {"name": "python3", "env": list(env.values())}),
        ("POST", "/api/kernels", {"name": "python3", "kernel_id": kernel_id, "env": env}),
    ]
    answers = [await rest.request(method, path, body=body) for method, path, body in asked]
    assert not [answer.text for answer in answers if answer.status_code >= 500]
    return answers
