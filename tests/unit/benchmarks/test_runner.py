from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from benchmarks.clients.channels import Channels
from benchmarks.clients.rest import Rest
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.runner import measure
from benchmarks.subjects.subject import Missing, Running
from benchmarks.table import Run

LINE = Line("turn", "turn", "", "-")


class Fake:
    """A subject that notes when it is ended."""

    pid = None

    def __init__(self, name: str, *, missing: bool = False) -> None:
        self.name = name
        self.ended = False
        self._missing = missing

    @contextmanager
    def run(self) -> Iterator[Running]:
        if self._missing:
            raise Missing("no network")
        try:
            yield self
        finally:
            self.ended = True

    def rest(self) -> AbstractContextManager[Rest]:
        raise NotImplementedError

    def start_kernel(self, user: str = "") -> str:
        raise NotImplementedError

    def end_kernel(self, kernel_id: str) -> None:
        raise NotImplementedError

    def open(self, kernel_id: str) -> Channels:
        raise NotImplementedError


def measured(*subjects: Fake, measurement: object, rounds: int = 1) -> Run:
    run = Run("a machine", [subject.name for subject in subjects])
    figure = Figure("turns", (LINE,), measurement)  # type: ignore[arg-type]
    measure(run, [figure], subjects, rounds=rounds, say=lambda text: None)
    return run


def test_subjects_take_turns_in_each_round() -> None:
    turns: list[Running] = []

    def turn(subject: Running) -> Values:
        turns.append(subject)
        return {"turn": float(len(turns))}

    run = measured(Fake("a"), Fake("b"), measurement=turn, rounds=2)

    assert run.found == {"turn": {"a": [1.0, 3.0], "b": [2.0, 4.0]}}


def test_one_that_is_missing_is_told_and_the_others_are_measured() -> None:
    run = measured(Fake("a", missing=True), Fake("b"), measurement=lambda subject: {"turn": 1.0})

    assert run.missing == {"a": "no network"}
    assert run.found == {"turn": {"b": [1.0]}}


def test_what_fails_on_one_is_told_in_a_line_and_measured_on_the_others() -> None:
    def turn(subject: Running) -> Values:
        if subject is broken:
            raise RuntimeError("broken\nwith a log")
        return {"turn": 1.0}

    broken = Fake("a")
    run = measured(broken, Fake("b"), measurement=turn)

    assert run.failures == ["turns of a: RuntimeError: broken"]
    assert run.found == {"turn": {"b": [1.0]}}


def test_who_stops_it_ends_what_was_started() -> None:
    def stopped(subject: Running) -> Values:
        raise SystemExit(1)

    subject = Fake("a")
    with pytest.raises(SystemExit):
        measured(subject, measurement=stopped)

    assert subject.ended


def test_what_takes_long_is_measured_in_the_first_round_only() -> None:
    run = Run("a machine", ["a"])
    figure = Figure("turns", (LINE,), lambda _: {"turn": 1.0}, once=True)
    measure(run, [figure], [Fake("a")], rounds=3, say=lambda text: None)
    assert run.found == {"turn": {"a": [1.0]}}
