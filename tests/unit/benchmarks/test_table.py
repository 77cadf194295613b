from __future__ import annotations

import pytest

from benchmarks.figures.figure import Line
from benchmarks.table import Run, cell, markdown, number

RATE = Line("rate", "messages", "/s", "10", more_is_better=True)


def rows(run: Run) -> list[str]:
    return [line for line in markdown(run).splitlines() if line.startswith("| messages")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.04567, "0.0457"), (3.14159, "3.14"), (20_000.0, "20,000"), (1234.5, "1,234"), (99.96, "100")],
)
def test_a_number_has_the_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_several_values_are_shown_with_their_range() -> None:
    assert cell([3.0, 1.0, 2.0]) == "2 (1 to 3)"


def test_values_that_look_alike_have_no_range() -> None:
    assert cell([2.001, 2.0011]) == "2"


def test_each_subject_has_a_column_and_each_other_one_a_ratio() -> None:
    run = Run("a machine", ["ours", "peer"], lines=[RATE])
    run.add("rate", "ours", 10.0)
    run.add("rate", "peer", 4.0)

    assert rows(run) == ["| messages, /s | 10 | 10 | 4 | 2.5 |"]


def test_what_was_not_measured_is_left_open() -> None:
    run = Run("a machine", ["ours", "peer"], lines=[RATE])
    run.add("rate", "ours", 10.0)

    assert rows(run) == ["| messages, /s | 10 | 10 | - | - |"]


def test_without_ours_nothing_is_compared() -> None:
    run = Run("a machine", ["peer"], lines=[RATE])
    run.add("rate", "peer", 4.0)

    assert rows(run) == ["| messages, /s | 10 | 4 |"]


def test_it_says_what_is_missing_and_what_failed() -> None:
    run = Run("a machine", ["ours"], missing={"peer": "no network"}, failures=["relay of ours: TimeoutError"])

    assert "Missing: peer: no network" in markdown(run)
    assert "Failed: relay of ours: TimeoutError" in markdown(run)
