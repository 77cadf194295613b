from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from enterprise_gateway.provisioners import runtime_dirs
from enterprise_gateway.provisioners.errors import LaunchError, UnsafeRuntimeDirectory
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from tests.unit.provisioners.short_paths import short_directory

KERNEL_ID = "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"


@pytest.fixture
def parent() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@pytest.fixture
def directories(parent: Path) -> RuntimeDirectories:
    prepared = RuntimeDirectories(parent / "run")
    prepared.prepare()
    return prepared


def test_root_and_directories_are_the_gateways_alone(directories: RuntimeDirectories) -> None:
    made = directories.make(KERNEL_ID, 1)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directories.root, made)] == [0o700, 0o700]


def test_preparing_again_is_harmless(directories: RuntimeDirectories) -> None:
    made = directories.make(KERNEL_ID, 1)
    directories.prepare()
    assert made.exists()


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_root_that_somebody_else_makes_in_the_same_moment_is_looked_at(
    parent: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    check = runtime_dirs.check_private

    def overtaken(directory: Path) -> None:
        if not directory.exists():
            directory.mkdir()
            directory.chmod(mode)
            raise FileNotFoundError(directory)
        check(directory)

    monkeypatch.setattr(runtime_dirs, "check_private", overtaken)
    with nullcontext() if mode == 0o700 else pytest.raises(UnsafeRuntimeDirectory, match="open to other users"):
        RuntimeDirectories(parent / "run", "deployment").prepare()


def test_a_name_holds_kernel_and_generation(directories: RuntimeDirectories) -> None:
    assert directories.make(KERNEL_ID, 12).name == f"{KERNEL_ID}.12"


def test_each_generation_has_its_own(directories: RuntimeDirectories) -> None:
    first = directories.make(KERNEL_ID, 1)
    directories.make(KERNEL_ID, 2)
    directories.remove(KERNEL_ID, 2)
    assert first.exists()


def test_none_is_made_twice(directories: RuntimeDirectories) -> None:
    directories.make(KERNEL_ID, 1)
    with pytest.raises(LaunchError, match="exists already"):
        directories.make(KERNEL_ID, 1)


def test_removing_takes_all_that_is_in_it(directories: RuntimeDirectories) -> None:
    made = directories.make(KERNEL_ID, 1)
    (made / "file").touch()
    directories.remove(KERNEL_ID, 1)
    assert not made.exists()


def test_removing_what_is_gone_is_harmless(directories: RuntimeDirectories) -> None:
    directories.remove(KERNEL_ID, 1)


@pytest.mark.parametrize("kernel_id", ["", "..", "../x", "a/b", ".hidden", "-x", "a" * 37, "a\n", "é"])
def test_an_id_that_could_lead_elsewhere_is_refused(directories: RuntimeDirectories, kernel_id: str) -> None:
    with pytest.raises(ValueError, match="can't name a directory"):
        directories.path(kernel_id, 1)


def test_a_root_open_to_others_is_refused(parent: Path) -> None:
    (parent / "run").mkdir()
    (parent / "run").chmod(0o750)
    with pytest.raises(UnsafeRuntimeDirectory, match="chmod 700"):
        RuntimeDirectories(parent / "run").prepare()


def test_a_root_that_is_a_link_is_refused(parent: Path) -> None:
    (parent / "run").symlink_to("/tmp")
    with pytest.raises(UnsafeRuntimeDirectory, match="link"):
        RuntimeDirectories(parent / "run").prepare()


def test_a_root_of_another_user_is_refused(directories: RuntimeDirectories, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(UnsafeRuntimeDirectory, match=f"this gateway is {other}"):
        directories.prepare()


def test_a_root_that_was_opened_meanwhile_gets_no_kernel(directories: RuntimeDirectories) -> None:
    directories.root.chmod(0o755)
    with pytest.raises(UnsafeRuntimeDirectory, match="open to other users"):
        directories.make(KERNEL_ID, 1)


def test_a_root_that_is_gone_is_made_again_for_this_user_alone(directories: RuntimeDirectories) -> None:
    directories.root.rmdir()
    assert directories.make(KERNEL_ID, 1).is_dir()
    assert stat.S_IMODE(directories.root.stat().st_mode) == 0o700


def test_the_longest_root_that_sockets_allow_is_taken_and_one_byte_more_is_not(parent: Path) -> None:
    longest = 107 - len(f"/{'k' * 36}.{10**7 - 1}/s-5")
    name = "x" * (longest - len(str(parent)) - 1)
    RuntimeDirectories(parent / name).prepare()
    with pytest.raises(UnsafeRuntimeDirectory, match="1 bytes too long"):
        RuntimeDirectories(parent / f"{name}x").prepare()


def test_links_on_the_way_to_the_root_are_resolved(parent: Path) -> None:
    (parent / "link").symlink_to(parent)
    assert RuntimeDirectories(parent / "link" / "run").root == parent / "run"


def test_each_deployment_has_a_root_of_its_own_below_the_base(parent: Path) -> None:
    one, other = (RuntimeDirectories(parent / "run", deployment) for deployment in ("a" * 32, "b" * 32))
    for directories in (one, other):
        directories.prepare()
        directories.make(KERNEL_ID, 1)
    assert one.root.parent == other.root.parent == parent / "run"
    other.remove(KERNEL_ID, 1)
    assert one.names() == [(KERNEL_ID, 1)]


def test_a_base_open_to_others_is_refused_also_below_it(parent: Path) -> None:
    (parent / "run").mkdir()
    (parent / "run").chmod(0o755)
    with pytest.raises(UnsafeRuntimeDirectory, match="chmod 700"):
        RuntimeDirectories(parent / "run", "a" * 32).prepare()


def test_names_are_those_of_kernels_and_generations_alone(directories: RuntimeDirectories) -> None:
    directories.make(KERNEL_ID, 12)
    for other in ("lost+found", f"{KERNEL_ID}.x", f"{KERNEL_ID}.1.2", ".1", "a" * 37 + ".1", f"{KERNEL_ID}.12345678"):
        (directories.root / other).mkdir()
    assert directories.names() == [(KERNEL_ID, 12)]


def test_where_the_root_is_gone_there_are_no_names(directories: RuntimeDirectories) -> None:
    directories.root.rmdir()
    assert directories.names() == []
