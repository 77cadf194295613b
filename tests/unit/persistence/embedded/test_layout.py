import os
from pathlib import Path

import pytest

from persistence.embedded.layout import Layout, server_uri, uri_of
from persistence.errors import ConfigurationError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(data_dir=tmp_path / "data", runtime_dir=Path("/tmp/r"))


def test_each_data_directory_has_a_socket_of_its_own(tmp_path: Path) -> None:
    one = Layout.of(tmp_path / "one", tmp_path)
    assert one.socket != Layout.of(tmp_path / "two", tmp_path).socket
    assert one.socket == Layout.of(tmp_path / "x" / ".." / "one", tmp_path).socket


def test_a_link_to_the_data_directory_means_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert Layout.of(tmp_path / "link", tmp_path) == Layout.of(tmp_path / "one", tmp_path)


def test_without_a_runtime_directory_it_is_the_users_own_in_tmp(tmp_path: Path) -> None:
    assert Layout.of(tmp_path, None).runtime_dir == Path(f"/tmp/enterprise-gateway-{os.geteuid()}")


@pytest.mark.parametrize("length", [107, 108])
def test_the_longest_socket_path_is_what_linux_takes(tmp_path: Path, length: int) -> None:
    fixed = len("/" + "/0123456789abcdef/mongod.sock")
    layout = Layout(data_dir=tmp_path / "data", runtime_dir=Path("/" + "x" * (length - fixed)))
    assert len(os.fsencode(layout.socket)) == length
    if length <= 107:
        layout.prepare()
    else:
        with pytest.raises(ConfigurationError, match="has 108 bytes"):
            layout.prepare()


def test_a_new_data_directory_is_its_users_alone(layout: Layout) -> None:
    layout.prepare()
    assert layout.data_dir.stat().st_mode & 0o777 == 0o700


def test_the_mode_of_a_data_directory_that_was_there_is_left_alone(layout: Layout) -> None:
    layout.data_dir.mkdir(mode=0o755)
    layout.prepare()
    assert layout.data_dir.stat().st_mode & 0o777 == 0o755
    assert layout.database.stat().st_mode & 0o777 == 0o700


def test_a_directory_everybody_can_write_to_is_refused(layout: Layout) -> None:
    layout.data_dir.mkdir()
    layout.data_dir.chmod(0o777)
    with pytest.raises(ConfigurationError, match=r"can be written to by everybody: `chmod o-w`"):
        layout.prepare()


def test_one_with_the_sticky_bit_is_not_as_nobody_can_replace_what_is_ours(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path / "data", runtime_dir=tmp_path)
    tmp_path.chmod(0o1777)
    layout.prepare_socket(layout.socket)
    assert layout.socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_sockets_directory_is_refused(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path / "data", runtime_dir=tmp_path)
    (tmp_path / "theirs").mkdir()
    layout.socket.parent.symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigurationError, match="is a link, not a directory"):
        layout.prepare_socket(layout.socket)


def test_another_users_directory_is_refused(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    layout.prepare()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        layout.prepare()


def test_the_uri_holds_the_socket_and_the_set() -> None:
    assert uri_of(Path("/run/a b/m.sock")) == "mongodb://%2Frun%2Fa%20b%2Fm.sock/?replicaSet=gateway"


def test_the_uri_of_the_server_itself_names_no_set() -> None:
    assert server_uri(Path("/run/m.sock")) == "mongodb://%2Frun%2Fm.sock/"
