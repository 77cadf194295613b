from dataclasses import replace
from pathlib import Path

import pytest

from persistence.embedded.state import ServerState, read_state, this_place, write_state

STATE = ServerState(
    data_dir="/data", place="here", socket="/run/m.sock", pid=7, start_ticks=70, version="6.0.5", ready=False
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_state(tmp_path / "state.json", STATE)
    assert read_state(tmp_path / "state.json") == STATE


def test_the_file_is_its_users_alone(tmp_path: Path) -> None:
    write_state(tmp_path / "state.json", STATE)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 7}', "\x00"])
def test_a_file_that_can_not_be_understood_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_state(tmp_path / "state.json") is None


def test_a_state_of_this_directory_in_this_place_belongs_to_it() -> None:
    assert replace(STATE, place=this_place()).belongs_to(Path("/data"))


def test_a_state_of_another_directory_does_not() -> None:
    assert not replace(STATE, place=this_place()).belongs_to(Path("/copy"))


def test_a_state_of_another_place_does_not() -> None:
    assert not STATE.belongs_to(Path("/data"))
