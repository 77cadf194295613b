"""The order in which the sources of a setting count, in the real application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from enterprise_gateway.app import EnterpriseGatewayApp
from enterprise_gateway.config.settings import GatewayTraits
from persistence.kernel_session_manager import KernelSessionManager

Start = Callable[..., EnterpriseGatewayApp]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnterpriseGatewayApp:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    return EnterpriseGatewayApp()


@pytest.fixture
def start(app: EnterpriseGatewayApp, file: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Read the settings of a config file, of these arguments and these variables."""

    def read(*argv: str, **environ: str) -> EnterpriseGatewayApp:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        app.initialize([f"--config={file}", *argv])
        return app

    return read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.py"
    path.write_text("c.EnterpriseGatewayApp.port = 2\nc.EnterpriseGatewayApp.client_envs.append('B')\n")
    return path


def test_the_config_file_is_stronger_than_the_environment(start: Start) -> None:
    app = start(EG_PORT="1", EG_IP="::1")

    assert (app.port, app.ip) == (2, "::1")


def test_the_command_line_is_stronger_than_the_config_file(start: Start) -> None:
    assert start("--port=3", EG_PORT="1").port == 3


def test_the_config_file_may_add_to_a_list_of_the_environment(start: Start) -> None:
    assert start(EG_CLIENT_ENVS="A").client_envs == ["A", "B"]


def test_a_list_on_the_command_line_may_have_commas(start: Start) -> None:
    assert start("--EnterpriseGatewayApp.authorized_users=bob,alice").authorized_users == ["bob", "alice"]


def test_the_database_gets_its_settings_from_the_environment(start: Start) -> None:
    store = KernelSessionManager(parent=start(EG_OPERATION_TIMEOUT="0.5", EG_SEALING_KEYS="a,b"))

    assert (store.operation_timeout, store.sealing_keys) == (0.5, ["a", "b"])


def test_variables_without_effect_are_named_in_the_log(
    app: EnterpriseGatewayApp, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    app.log = logging.getLogger("settings")
    start(EG_YARN_ENDPOINT="v4lue", EG_ENV_WHITELIST="X")

    assert "EG_YARN_ENDPOINT: has no effect" in caplog.text
    assert "EG_ENV_WHITELIST: is deprecated" in caplog.text
    assert "v4lue" not in caplog.text


def test_a_variable_that_makes_no_sense_ends_the_start(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        start(EG_PORT="abc")

    assert ended.value.code == 1
    assert "EG_PORT must be an int" in capsys.readouterr().err


def test_help_and_a_generated_config_file_name_every_setting(app: EnterpriseGatewayApp) -> None:
    text = app.generate_config_file()

    assert [
        name for name in GatewayTraits.class_traits(config=True) if f"c.EnterpriseGatewayApp.{name}" not in text
    ] == []


def test_a_former_setting_works_with_a_warning(app: EnterpriseGatewayApp, caplog: pytest.LogCaptureFixture) -> None:
    app.log = logging.getLogger("deprecations")
    app.update_config(Config({"EnterpriseGatewayApp": {"env_whitelist": ["A"]}}))

    assert app.client_envs == ["A"]


@pytest.mark.parametrize(
    ("given", "kept"), [("/", "/"), ("", "/"), ("gateway", "/gateway/"), ("/a/b/", "/a/b/"), ("//", "/")]
)
def test_a_base_url_begins_and_ends_with_a_slash(app: EnterpriseGatewayApp, given: str, kept: str) -> None:
    app.base_url = given

    assert app.base_url == kept


@pytest.mark.parametrize("given", ["/a b/", "/a?b", "a//b", "/a#"])
def test_a_base_url_that_is_no_path_is_refused(app: EnterpriseGatewayApp, given: str) -> None:
    with pytest.raises(TraitError, match="base_url"):
        app.base_url = given


def test_egs_classes_with_settings_of_culling_are_still_known(start: Start, file: Path) -> None:
    file.write_text("c.MappingKernelManager.cull_interval = 7\nc.RemoteMappingKernelManager.cull_connected = True\n")
    app = start("--RemoteMappingKernelManager.cull_idle_timeout=40")

    assert (app.cull_idle_timeout, app.cull_interval, app.cull_connected) == (40.0, 7.0, True)


def test_the_present_name_comes_before_egs(start: Start) -> None:
    assert start("--RemoteMappingKernelManager.cull_idle_timeout=40", EG_CULL_IDLE_TIMEOUT="50").cull_idle_timeout == 50
