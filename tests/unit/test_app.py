"""The command: what it shows of its settings, what it says at its start and end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from enterprise_gateway import __version__, app, server
from enterprise_gateway.app import EnterpriseGatewayApp
from enterprise_gateway.banner import farewell, patience, welcome
from persistence.errors import ConfigurationError
from persistence.kernel_session_manager import KernelSessionManager

SECRETS = {
    "EG_AUTH_TOKEN": "token-to-hide",
    "EG_ADMIN_TOKEN": "admin-to-hide",
    "EG_MONGODB_URI": "mongodb://ann:password-to-hide@db.example.org/",
    "EG_SEALING_KEYS": "key-to-hide",
}


@pytest.mark.parametrize("option", ["--show-config", "--show-config-json"])
def test_show_config_says_that_a_secret_is_set_but_not_which(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**SECRETS, "EG_PORT": "9123"}.items():
        monkeypatch.setenv(name, value)
    app = EnterpriseGatewayApp()
    app.initialize([option])
    app.start_show_config()
    shown = capsys.readouterr().out
    assert "to-hide" not in shown
    assert "9123" in shown
    assert "auth_token" in shown


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        EnterpriseGatewayApp().initialize(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_the_banner_says_url_database_replica_and_how_to_connect() -> None:
    text = welcome(version="1", url="http://h:1", database="eg (private)", replica_id="r1", token_required=False)
    for part in ("http://h:1", "eg (private)", "r1", "jupyter lab --gateway-url=http://h:1"):
        assert part in text
    assert "TOKEN" not in text


def test_the_banner_says_where_a_token_goes() -> None:
    text = welcome(version="1", url="http://h:1", database="eg", replica_id="r1", token_required=True)
    assert "JUPYTER_GATEWAY_AUTH_TOKEN=… jupyter lab" in text


@pytest.mark.parametrize(("left", "said"), [(0, "none of its kernels"), (1, "1 kernel keeps"), (3, "3 kernels keep")])
def test_the_last_words_say_how_many_kernels_keep_running(left: int, said: str) -> None:
    assert said in farewell(left)


def test_the_last_words_say_that_other_replicas_serve_what_keeps_running() -> None:
    assert "2 kernels keep running, served by 1 other replica." in farewell(2, others=1)
    assert "Start a gateway" not in farewell(2, others=1)


def test_a_uri_that_is_none_is_refused_in_one_line() -> None:
    command = [sys.executable, "-m", "enterprise_gateway", "--KernelSessionManager.mongodb_uri=foo"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "mongodb_uri must begin with one of" in line


@pytest.mark.parametrize(("kernels", "said"), [(1, "1 kernel that is being"), (3, "3 kernels that are being")])
def test_a_stop_that_has_to_wait_says_for_what_how_long_and_the_way_out(kernels: int, said: str) -> None:
    text = patience(kernels, 29.6)
    assert said in text
    assert "up to 30 s; a second signal stops at once" in text


async def test_memory_is_kept_for_messages_from_the_start_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def bind(*_: object) -> None:
        done.append("bound")
        raise ConfigurationError("no port is free")

    monkeypatch.setattr(app, "keep_for_messages", lambda: done.append("kept"))
    monkeypatch.setattr(server, "bind", bind)
    with pytest.raises(ConfigurationError):
        await EnterpriseGatewayApp().run(KernelSessionManager())
    assert done == ["kept", "bound"]
