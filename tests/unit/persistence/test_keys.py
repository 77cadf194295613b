from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from persistence import keys
from persistence.errors import ConfigurationError
from persistence.sealing import Sealer


def test_many_who_make_the_key_at_once_have_the_same(tmp_path: Path) -> None:
    path = tmp_path / "data" / keys.FILE_NAME
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.kept_key(path), range(32)))
    assert len(made) == 1
    assert Sealer(list(made)).key_ids
    assert os.listdir(path.parent) == [keys.FILE_NAME]


def test_the_key_and_a_new_directory_are_this_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / keys.FILE_NAME
    keys.kept_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/sealing\.key"):
        keys.kept_key(tmp_path / "file" / keys.FILE_NAME)
