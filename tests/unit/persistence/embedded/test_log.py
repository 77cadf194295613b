from pathlib import Path

import pytest

from persistence.embedded import log as mongod_log
from persistence.embedded.log import last_lines, put_aside_if_large, read_from, reason, size_of


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A log of at most ten bytes."""
    monkeypatch.setattr(mongod_log, "LARGEST_LOG_BYTES", 10)
    return tmp_path / "mongod.log"


def test_a_log_of_just_the_largest_size_stays(log: Path) -> None:
    log.write_text("x" * 10)
    assert not put_aside_if_large(log)
    assert log.exists()


def test_a_larger_one_takes_the_place_of_the_one_put_aside_before(log: Path) -> None:
    aside = log.with_name("mongod.log.1")
    aside.write_text("old")
    log.write_text("x" * 11)
    assert put_aside_if_large(log)
    assert aside.read_text() == "x" * 11
    assert not log.exists()


def test_a_log_put_aside_by_one_who_died_then_has_to_be_opened(log: Path) -> None:
    assert put_aside_if_large(log)


def test_a_log_is_read_from_where_it_was(log: Path) -> None:
    log.write_text("before")
    offset = size_of(log)
    log.write_text("before, after")
    assert read_from(log, offset) == ", after"


def test_a_log_that_was_put_aside_meanwhile_is_read_whole(log: Path) -> None:
    log.write_text("new")
    assert read_from(log, 1000) == "new"


def test_no_log_is_an_empty_one(log: Path) -> None:
    assert (size_of(log), read_from(log, 0)) == (0, "")


def test_the_last_lines_are_those_that_tell_of_trouble() -> None:
    text = (
        '{"s":"E","msg":"Cannot bind","attr":{"error":"in use"}}\n'
        '{"s":"I","msg":"Shutting down"}\n'
        "  Frame: {}\n"
        '{"s":"F","msg":"Fatal","attr":{"msgid":1}}\n'
    )
    assert last_lines(text) == "Cannot bind: in use | Fatal"


def test_without_trouble_they_are_the_very_last_ones() -> None:
    assert last_lines("a\n\nb\nc\nd\n") == "b | c | d"


def test_a_long_line_is_cut() -> None:
    assert len(last_lines("x" * 10_000)) == 400


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("...No space left on device...", 14, "its disk is full"),
        ('{"attr":{"error":28,"message":"x"}}', 14, "its disk is full"),
        ("", 62, "another version of MongoDB"),
        ("unsupported WiredTiger file version: 12.0", 14, "another version of MongoDB"),
        ("DBPathInUse", 100, "another mongod uses its data"),
        ("Got signal: 11", -11, "see the end of its log"),
        ("", None, "see the end of its log"),
    ],
)
def test_the_reason_says_what_to_do(text: str, code: int | None, told: str) -> None:
    assert told in reason(text, code)
