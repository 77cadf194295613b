"""Takes turns: in each round each figure is measured on each subject, so that a busy minute of the machine hits all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.figures.figure import Figure
from benchmarks.subjects.subject import Missing, Running, Subject
from benchmarks.table import Run

SHOWN = 200  # characters of what a failure says

Say = Callable[[str], None]


def measure(run: Run, figures: Sequence[Figure], subjects: Sequence[Subject], *, rounds: int, say: Say) -> None:
    """Measure all figures, and note in `run` what was found, what is missing and what failed."""
    run.lines += [line for figure in figures for line in figure.lines]
    with ExitStack() as stack:
        running = _start(run, subjects, stack, say)
        for number in range(rounds):
            for figure in figures:
                if figure.once and number:
                    continue
                for name, subject in running.items():
                    say(f"round {number + 1} of {rounds}: {figure.name} of {name}")
                    _measure(run, figure, name, subject, say)


def _start(run: Run, subjects: Sequence[Subject], stack: ExitStack, say: Say) -> dict[str, Running]:
    running = {}
    for subject in subjects:
        try:
            running[subject.name] = stack.enter_context(subject.run())
        except Missing as missing:
            run.missing[subject.name] = str(missing)
            say(f"{subject.name} is missing: {missing}")
    return running


def _measure(run: Run, figure: Figure, name: str, subject: Running, say: Say) -> None:
    try:
        found = figure.measure(subject)
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way, and the others are still to be measured
        why = str(error).partition("\n")[0][:SHOWN]
        run.failures.append(f"{figure.name} of {name}: {type(error).__name__}: {why}")
        say(run.failures[-1])
        return
    for key, value in found.items():
        run.add(key, name, value)
