"""The command line, as a person mistypes it."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from enterprise_gateway.app import EnterpriseGatewayApp
from enterprise_gateway.config.repeats import OncePerText

Read = Callable[..., EnterpriseGatewayApp]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read these arguments as the command does."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")

    def reader(*argv: str) -> EnterpriseGatewayApp:
        app = EnterpriseGatewayApp()
        app.initialize([*argv])
        return app

    return reader


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--nosuch=1"], "there is no option --nosuch; see --help"),
        (["--nosuch"], "there is no option --nosuch; see --help"),
        (["--prot=9"], "there is no option --prot (did you mean --port?)"),
        (["--port_retris=9"], "(did you mean --port-retries?)"),
        (["-x"], "there is no option -x"),
        (["--port"], "expected one argument"),
        (["extra"], "no arguments are taken, only options, so not 'extra'"),
        (["--", "extra"], "no arguments are taken"),
        (["--port=9", "extra"], "no arguments are taken"),
        (["--EnterpriseGatewayApp.portt=9"], "no setting --EnterpriseGatewayApp.portt (did you mean port?)"),
        (["--KernelSessionManager.mongo_uri=x"], "(did you mean mongodb_uri?)"),
        (["--EnterpriseGatewayApp.remote_hosts=a"], "kernels on other hosts by SSH do not exist here"),
        (["--config=/no/such.py"], "there is no config file /no/such.py"),
    ],
)
def test_what_would_have_no_effect_is_refused_in_one_line(
    read: Read, argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(*argv)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize("option", ["--port-retries=7", "--port_retries=7", "--EnterpriseGatewayApp.port_retries=7"])
def test_an_option_may_be_written_with_dashes_or_underscores(read: Read, option: str) -> None:
    assert read(option).port_retries == 7


def test_a_value_may_follow_after_a_blank_and_be_negative(read: Read) -> None:
    app = read("--port", "9", "--EnterpriseGatewayApp.max_kernels_per_user", "-1")
    assert (app.port, app.max_kernels_per_user) == (9, -1)


def test_settings_of_other_classes_pass(read: Read) -> None:
    assert read("--MyAuthorizer.strict=True").config.MyAuthorizer


@pytest.mark.parametrize("name", ["mine.py", "mine"])
def test_a_config_file_may_be_named_without_its_suffix(read: Read, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text("c.EnterpriseGatewayApp.port = 9\n")
    assert read(f"--config={tmp_path / name}").port == 9


def test_a_misspelt_setting_in_a_config_file_is_told_once(
    read: Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("c.EnterpriseGatewayApp.portt = 9\n")
    read(f"--config={tmp_path / 'mine.py'}")
    assert capsys.readouterr().err.count("`portt` not recognized") == 1


def test_a_filter_of_repeats_lets_other_messages_pass_each_time() -> None:
    passes = OncePerText("Twice")
    texts = ["Twice told", "Twice told", "another", "another"]
    records = [logging.LogRecord("n", logging.INFO, "p", 1, text, None, None) for text in texts]
    assert [record.getMessage() for record in records if passes.filter(record)] == ["Twice told", "another", "another"]


def test_a_generated_config_file_is_for_its_owner_alone(
    read: Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.py"
    read("--generate-config", f"--config={path}").write_default_config()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_help_shows_the_log_level_that_is_the_default(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    after = capsys.readouterr().out.partition("--log-level")[2]
    assert "Default: 20" in after.partition("--config")[0]


def test_the_examples_that_listen_for_others_come_after_a_token(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    examples = EnterpriseGatewayApp.examples
    assert isinstance(examples, str)
    assert examples.index("EG_AUTH_TOKEN=") < examples.index("--ip=0.0.0.0")
    assert all("'" in line for line in examples.splitlines() if "?" in line)
