from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.launch_env import (
    DEFAULT_INHERITED_ENVS,
    MAX_VARIABLE_BYTES,
    LaunchIdentity,
    build_env,
    filter_request_env,
    working_directory,
)

IDENTITY = LaunchIdentity(kernel_id="k1", generation=3, deployment_id="d1", username="ada")


def build(
    *,
    spec: Mapping[str, Any] | None = None,
    request: Mapping[str, str] | None = None,
    gateway: Mapping[str, str] | None = None,
    inherited: tuple[str, ...] = DEFAULT_INHERITED_ENVS,
) -> dict[str, str]:
    return build_env(
        spec_env=spec or {},
        spec_language="Python",
        request_env=request or {},
        gateway_environ=gateway or {},
        inherited_envs=inherited,
        identity=IDENTITY,
    )


@pytest.mark.parametrize(
    ("env", "client_envs", "kept"),
    [
        ({"KERNEL_FOO": "1"}, (), ["KERNEL_FOO"]),
        ({"FOO": "1"}, (), []),
        ({"FOO": "1", "BAR": "2"}, ("FOO",), ["FOO"]),
        ({"FOO": "1", "BAR": "2"}, ("*",), ["FOO", "BAR"]),
        ({"KERNEL_A.B": "1", "": "2", "1A": "3", "A=B": "4"}, ("*",), []),
        ({"JPY_PARENT_PID": "1", "EG_AUTH_TOKEN": "2"}, ("*",), []),
    ],
)
def test_a_client_may_set_kernel_variables_and_allowed_ones(
    env: dict[str, str], client_envs: tuple[str, ...], kept: list[str]
) -> None:
    assert list(filter_request_env(env, client_envs=client_envs)) == kept


@pytest.mark.parametrize("value", [1, None, ["a"], "a\0secret", "\ud800secret", "secret" * MAX_VARIABLE_BYTES])
def test_a_value_that_cant_be_passed_on_is_refused_untold(value: Any) -> None:
    with pytest.raises(GatewayError) as raised:
        filter_request_env({"KERNEL_X": value})
    assert raised.value.status == 400
    assert "KERNEL_X" in raised.value.message
    assert "secret" not in raised.value.message


def test_a_value_of_a_variable_that_is_left_out_is_not_looked_at() -> None:
    assert filter_request_env({"OTHER": 1}) == {}


def test_the_longest_value_that_linux_allows_is_kept() -> None:
    value = "x" * (MAX_VARIABLE_BYTES - len("KERNEL_X=") - 1)
    assert filter_request_env({"KERNEL_X": value}) == {"KERNEL_X": value}


def test_nothing_of_the_gateways_environment_is_passed_on_unless_it_is_named() -> None:
    env = build(gateway={"PATH": "/bin", "SECRET": "s"})
    assert env["PATH"] == "/bin"
    assert "SECRET" not in env


def test_the_request_stands_over_the_kernelspec_and_the_inherited() -> None:
    env = build(spec={"X": "spec"}, gateway={"X": "gateway"}, inherited=("X",), request={"X": "request"})
    assert env["X"] == "request"


def test_what_is_configured_to_be_inherited_stands_over_the_kernelspec() -> None:
    assert build(spec={"X": "spec"}, gateway={"X": "gateway"}, inherited=("X",))["X"] == "gateway"


def test_a_kernelspec_keeps_its_own_path() -> None:
    env = build(spec={"PATH": "/opt/conda/bin:${PATH}"}, gateway={"PATH": "/bin"})
    assert env["PATH"] == "/opt/conda/bin:/bin"


def test_a_template_sees_the_request_and_the_gateways_own_variables() -> None:
    env = build(spec={"A": "${KERNEL_FOO}-$KERNEL_USERNAME"}, request={"KERNEL_FOO": "foo"})
    assert env["A"] == "foo-ada"


def test_a_template_does_not_see_what_is_not_inherited() -> None:
    assert build(spec={"A": "${SECRET}"}, gateway={"SECRET": "s"})["A"] == "${SECRET}"


def test_a_request_is_no_template() -> None:
    assert build(request={"KERNEL_A": "${PATH}"}, gateway={"PATH": "/bin"})["KERNEL_A"] == "${PATH}"


def test_numbers_in_a_kernelspec_become_text() -> None:
    assert build(spec={"THREADS": 4})["THREADS"] == "4"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KERNEL_GATEWAY", "1"),
        ("KERNEL_ID", "k1"),
        ("KERNEL_USERNAME", "ada"),
        ("ENTERPRISE_GATEWAY_KERNEL_ID", "k1"),
        ("ENTERPRISE_GATEWAY_GENERATION", "3"),
        ("ENTERPRISE_GATEWAY_DEPLOYMENT", "d1"),
    ],
)
def test_nobody_else_sets_the_gateways_own_variables(name: str, value: str) -> None:
    env = build(spec={name: "spec"}, request={name: "request"}, gateway={name: "gateway"}, inherited=(name,))
    assert env[name] == value


@pytest.mark.parametrize("name", ["EG_AUTH_TOKEN", "KG_AUTH_TOKEN", "JPY_PARENT_PID", "LS_COLORS", "a.b"])
def test_some_variables_reach_no_kernel_by_any_way(name: str) -> None:
    env = build(spec={name: "spec"}, request={name: "request"}, gateway={name: "gateway"}, inherited=(name,))
    assert name not in env


def test_the_language_is_told_where_nobody_sets_it() -> None:
    assert build()["KERNEL_LANGUAGE"] == "python"
    assert build(spec={"KERNEL_LANGUAGE": "scala"})["KERNEL_LANGUAGE"] == "scala"


async def test_the_clients_directory_is_used_where_it_exists(tmp_path: Path) -> None:
    env = {"KERNEL_WORKING_DIR": str(tmp_path), "HOME": "/"}
    assert await working_directory(env, mirror_working_dirs=True, home="/") == str(tmp_path)


async def test_the_clients_directory_is_not_used_unless_that_is_allowed(tmp_path: Path) -> None:
    env = {"KERNEL_WORKING_DIR": "/usr", "HOME": str(tmp_path)}
    assert await working_directory(env, mirror_working_dirs=False, home="/") == str(tmp_path)


@pytest.mark.parametrize("asked", ["missing", "file", "relative"])
async def test_a_directory_that_cant_be_used_gives_way_to_the_home(tmp_path: Path, asked: str) -> None:
    (tmp_path / "file").touch()
    env = {"KERNEL_WORKING_DIR": "." if asked == "relative" else str(tmp_path / asked), "HOME": str(tmp_path)}
    assert await working_directory(env, mirror_working_dirs=True, home="/") == str(tmp_path)


async def test_the_gateways_home_serves_a_kernel_that_is_told_none(tmp_path: Path) -> None:
    assert await working_directory({}, mirror_working_dirs=True, home=str(tmp_path)) == str(tmp_path)


async def test_there_is_always_a_directory() -> None:
    assert await working_directory({"HOME": "/nonexistent"}, mirror_working_dirs=True, home="") == os.sep
