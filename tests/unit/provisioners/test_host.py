from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enterprise_gateway.provisioners.host import HostIdentity


def test_every_process_of_a_host_has_the_same_identity() -> None:
    code = "from enterprise_gateway.provisioners.host import HostIdentity; print(HostIdentity.current().id)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert other.stdout.strip() == HostIdentity.current().id


@pytest.mark.parametrize("field", ["machine", "boot", "pid_namespace", "mount_namespace", "network_namespace", "user"])
def test_each_part_makes_another_host(field: str) -> None:
    host = HostIdentity.current()
    other: Any = "other" if field in ("machine", "boot") else 7
    assert replace(host, **{field: other}).id != host.id


def test_a_new_name_does_not_make_another_host() -> None:
    host = HostIdentity.current()
    assert replace(host, name="renamed").id == host.id


def test_the_machine_id_itself_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    host = HostIdentity.current(machine_id_files=(tmp_path / "machine-id",))
    assert "3d1219c7" not in repr(host)


@pytest.mark.parametrize("content", [None, "", "uninitialized\n"])
def test_without_a_machine_id_a_reboot_is_another_machine(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "machine-id"
    if content is not None:
        file.write_text(content)
    first = HostIdentity.current(machine_id_files=(file,))
    assert first.machine == HostIdentity.current(machine_id_files=()).machine
    assert first.machine != HostIdentity.current().machine


def test_the_second_file_serves_where_the_first_is_missing(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_text("abc\n")
    found = HostIdentity.current(machine_id_files=(tmp_path / "first", second))
    assert found.machine == HostIdentity.current(machine_id_files=(second,)).machine


def test_namespaces_are_read_from_their_links(tmp_path: Path) -> None:
    for number, name in enumerate(("pid", "mnt", "net"), start=40):
        os.symlink(f"{name}:[{number}]", tmp_path / name)
    host = HostIdentity.current(namespaces=tmp_path)
    assert (host.pid_namespace, host.mount_namespace, host.network_namespace) == (40, 41, 42)


def test_what_is_stored_names_id_machine_boot_and_name() -> None:
    host = HostIdentity.current()
    doc = host.to_doc()
    assert (doc.id, doc.machine, doc.boot, doc.name) == (host.id, host.machine, host.boot, host.name)


@pytest.mark.parametrize(
    ("changes", "was"),
    [
        ({"boot": "another"}, True),
        ({"boot": "another", "pid_namespace": 7, "mount_namespace": 7, "network_namespace": 7}, True),
        ({}, False),
        ({"pid_namespace": 7}, False),
        ({"boot": "another", "machine": "another"}, False),
        ({"boot": "another", "name": "another"}, False),
    ],
    ids=["before a boot", "namespaces are new too", "itself", "a container beside", "another machine", "a clone"],
)
def test_a_host_is_known_as_this_one_before_its_last_boot(changes: dict[str, Any], was: bool) -> None:
    host = HostIdentity.current()
    assert host.was(replace(host, **changes).to_doc()) is was


def test_where_there_is_no_machine_id_nothing_is_known_of_before() -> None:
    host = HostIdentity.current(machine_id_files=())
    before = replace(host, boot="another", machine="another boot's hash")
    assert not host.was(before.to_doc())


def test_this_host_is_this_one_and_was_so_before_the_boot() -> None:
    host = HostIdentity.current()
    assert host.is_or_was(host.to_doc())
    assert host.is_or_was(replace(host, boot="another").to_doc())
    assert not host.is_or_was(replace(host, pid_namespace=7).to_doc())
