"""The order in which the sources of a setting count, through a real Jupyter application."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from jupyter_core.application import JupyterApp
from traitlets import TraitError
from traitlets.config import Config

from enterprise_gateway.config.command_line import ALIASES, FLAGS
from enterprise_gateway.config.environment import read_environment
from enterprise_gateway.config.sections import sections
from enterprise_gateway.config.settings import GatewayTraits


class EnterpriseGatewayApp(GatewayTraits, JupyterApp):
    """An application with the settings, and nothing else."""

    name = "jupyter-enterprise-gateway"
    aliases = ALIASES
    flags = FLAGS
    environ: dict[str, str] = {}  # noqa: RUF012

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        self.update_config(read_environment(sections(), self.environ).config)
        super().load_config_file(suppress_errors)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnterpriseGatewayApp:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    return EnterpriseGatewayApp()


def start(app: EnterpriseGatewayApp, file: Path, *argv: str, **environ: str) -> EnterpriseGatewayApp:
    app.environ = environ
    app.initialize([f"--config={file}", *argv])
    return app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.py"
    path.write_text("c.EnterpriseGatewayApp.port = 2\nc.EnterpriseGatewayApp.client_envs.append('B')\n")
    return path


def test_the_config_file_is_stronger_than_the_environment(app: EnterpriseGatewayApp, file: Path) -> None:
    assert start(app, file, EG_PORT="1", EG_IP="::1").port == 2
    assert app.ip == "::1"


def test_the_command_line_is_stronger_than_the_config_file(app: EnterpriseGatewayApp, file: Path) -> None:
    assert start(app, file, "--port=3", EG_PORT="1").port == 3


def test_the_config_file_may_add_to_a_list_of_the_environment(app: EnterpriseGatewayApp, file: Path) -> None:
    assert start(app, file, EG_CLIENT_ENVS="A").client_envs == ["A", "B"]


def test_a_list_on_the_command_line_may_have_commas(app: EnterpriseGatewayApp, file: Path) -> None:
    assert start(app, file, "--EnterpriseGatewayApp.authorized_users=bob,alice").authorized_users == ["bob", "alice"]


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
