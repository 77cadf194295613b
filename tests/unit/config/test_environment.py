from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError

from enterprise_gateway.config.environment import Environment, read_environment
from enterprise_gateway.config.names import DEPRECATED, UNSUPPORTED
from enterprise_gateway.config.sections import sections


def read(environ: Mapping[str, str]) -> Environment:
    return read_environment(sections(), environ)


def app_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    return dict(read(environ).config.EnterpriseGatewayApp)


@pytest.mark.parametrize(
    ("variable", "text", "trait", "value"),
    [
        ("EG_IP", "0.0.0.0", "ip", "0.0.0.0"),
        ("EG_PORT", " 9000 ", "port", 9000),
        ("EG_AUTH_TOKEN", "old,new", "auth_token", ["old", "new"]),
        ("EG_ADMIN_TOKEN", "boss", "admin_token", ["boss"]),
        ("EG_LEASE_DURATION", "2", "lease_duration", 2.0),
        ("EG_RENEW_INTERVAL", "0.5", "renew_interval", 0.5),
        ("EG_RENEW_DEADLINE", "1.2", "renew_deadline", 1.2),
        ("EG_TRUST_XHEADERS", "Yes", "trust_xheaders", True),
        ("EG_LIST_KERNELS", "False", "list_kernels", False),
        ("EG_MIRROR_WORKING_DIRS", "true", "mirror_working_dirs", True),
        ("EG_MAX_KERNELS", "3", "max_kernels", 3),
        ("EG_WS_PING_INTERVAL_SECS", "10", "ws_ping_interval", 10.0),
        ("EG_ON_EXIT", "STOP", "on_exit", "stop"),
        ("EG_ALLOWED_KERNELS", "'a','b'", "allowed_kernelspecs", ["a", "b"]),
        ("EG_ALLOWED_KERNELS", "null", "allowed_kernelspecs", []),
        ("EG_AUTHORIZED_USERS", "['bob', 'alice']", "authorized_users", ["bob", "alice"]),
        ("EG_AUTHORIZER_CLASS", "my.Authorizer", "authorizer_class", "my.Authorizer"),
        ("EG_LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
    ],
)
def test_a_variable_becomes_its_setting(variable: str, text: str, trait: str, value: Any) -> None:
    assert app_settings({variable: text}) == {trait: value}


@pytest.mark.parametrize(
    ("variable", "text", "trait", "value"),
    [
        ("EG_MONGODB_URI", "mongodb://db", "mongodb_uri", "mongodb://db"),
        ("EG_SEALING_KEYS", "first, second", "sealing_keys", ["first", "second"]),
        ("EG_OPERATION_TIMEOUT", "0.5", "operation_timeout", 0.5),
        ("EG_MONGODB_DRIVER", "motor", "driver", "motor"),
    ],
)
def test_the_database_has_its_variables(variable: str, text: str, trait: str, value: Any) -> None:
    assert read({variable: text}).config.KernelSessionManager == {trait: value}


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("EG_PORT", "abc", "must be an int, at least 0, at most 65535, not 'abc'"),
        ("EG_PORT", "70000", "not '70000'"),
        ("EG_MAX_KERNELS", "-1", "not '-1'"),
        ("EG_LIST_KERNELS", "maybe", "must be true or false, not 'maybe'"),
        ("EG_LEASE_DURATION", "nan", "not 'nan'"),
        ("EG_LEASE_DURATION", "inf", "not 'inf'"),
        ("EG_ON_EXIT", "halt", "not 'halt'"),
        ("EG_OPERATION_TIMEOUT", "1s", "not '1s'"),
        ("EG_PORT", "8" * 100, f"not '{'8' * 40}…'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_variable(variable: str, text: str, says: str) -> None:
    with pytest.raises(TraitError, match=variable) as refused:
        read({variable: text})

    assert says in str(refused.value)


def test_a_variable_set_to_nothing_is_unset_but_a_list_is_empty() -> None:
    assert app_settings({"EG_PORT": "", "EG_CERTFILE": " ", "EG_INHERITED_ENVS": ""}) == {"inherited_envs": []}


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_a_deprecated_name_works_with_a_warning(name: str) -> None:
    text = "1" if any(word in name for word in ("PORT", "MAX_KERNELS", "SSL", "XHEADERS", "LIST_")) else "/x"
    environment = read({name: text})

    assert environment.config == read({DEPRECATED[name]: text}).config
    assert environment.config.EnterpriseGatewayApp
    assert [notice.variable for notice in environment.notices] == [name]


@pytest.mark.parametrize("former", ["EG_ENV_WHITELIST", "KG_PORT", "EG_ALLOWED_KERNELS"])
def test_the_present_name_is_stronger_than_a_former_one(former: str) -> None:
    present = {**DEPRECATED, "EG_ALLOWED_KERNELS": "EG_ALLOWED_KERNELSPECS"}[former]
    environment = read({former: "1", present: "2"})

    assert environment.config == read({present: "2"}).config
    assert [notice.advice for notice in environment.notices] == [f"has no effect beside {present}"]


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_setting_of_eg_without_effect_is_warned_about_by_name(name: str) -> None:
    name = f"{name}X" if name.endswith("_") else name
    environment = read({name: "v4lue"})

    assert not environment.config
    assert [notice.variable for notice in environment.notices] == [name]
    assert "misspelt" not in environment.notices[0].advice
    assert "v4lue" not in repr(environment.notices)


def test_a_misspelt_variable_is_warned_about() -> None:
    (notice,) = read({"EG_PROT": "1", "EG_TEST_REQUIRE": "mongod", "PATH": "/bin", "KG_NONE": "1"}).notices

    assert notice.variable == "EG_PROT"
    assert "misspelt" in notice.advice


def test_kernels_inherit_what_is_named_and_set() -> None:
    environment = read({"PATH": "/bin", "HOME": "/home/x", "SECRET": "s"})

    assert environment.inherited(["PATH", "TZ"]) == {"PATH": "/bin"}


def test_secrets_of_the_environment_are_in_no_repr() -> None:
    assert "s3cret" not in repr(read({"OTHER": "s3cret"}))


def test_the_environment_is_a_copy_that_nobody_can_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EG_PORT", "9")
    environment = read_environment(sections())
    monkeypatch.setenv("EG_PORT", "10")

    assert environment.own["EG_PORT"] == "9"
    with pytest.raises(TypeError):
        environment.own["EG_PORT"] = "11"  # type: ignore[index]


def test_sockets_lie_in_the_users_runtime_directory(tmp_path: Path) -> None:
    assert read({"XDG_RUNTIME_DIR": str(tmp_path)}).runtime_root() == tmp_path / "enterprise-gateway"


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": "/is/not/there"}])
def test_without_a_runtime_directory_sockets_lie_under_tmp(environ: dict[str, str]) -> None:
    assert read(environ).runtime_root() == Path(f"/tmp/enterprise-gateway-{os.getuid()}")


def test_faults_for_tests_are_read_from_the_environment_and_are_no_setting() -> None:
    found = read_environment(sections(), {"EG_TEST_FAULTS": "kill@forked@k1"})
    assert found.faults == "kill@forked@k1"
    assert found.notices == ()


def test_there_are_no_faults_where_the_environment_names_none() -> None:
    assert read_environment(sections(), {}).faults == ""
