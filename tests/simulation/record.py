"""Search for what breaks without a rule, and print a short course of events found as `recorded.py` keeps it.

python -m tests.simulation.record ["claim without activity_seq" ...]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import Disturbed
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.network import Fault
from tests.simulation.world import Violation

# Hypothesis shortens too, but for minutes.
SEARCH = settings(
    max_examples=2000,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
NUMBER = re.compile(r"\d+\.\d+(e-\d+)?")


def search(mutant: Mutant) -> list[str] | None:
    """Find what breaks, step by step as Python; None: nothing was found."""
    try:
        with mutant.missing():
            run_state_machine_as_test(mutant.machine, settings=SEARCH)
    except Violation as violation:
        return _steps("\n".join(violation.__notes__))
    return None


def _steps(told: str) -> list[str]:
    """Read what Hypothesis tells of a violation: the machine is made, its steps are taken, and it is torn down."""
    program = told[told.index("state = ") : told.index("state.teardown()")]
    return [ast.unparse(step) for step in ast.parse(program).body[1:]]


def shorten(mutant: Mutant, steps: Sequence[str]) -> list[str]:
    """Leave out what it breaks without, and round the numbers, as long as it is the missing rule that shows."""
    short = list(steps)
    for at in range(len(steps) - 1, 0, -1):
        if shows(mutant, fewer := short[:at] + short[at + 1 :]):
            short = fewer
    for at, step in enumerate(short):
        rounded = [*short[:at], NUMBER.sub(lambda found: f"{float(found[0]):.1f}", step), *short[at + 1 :]]
        if shows(mutant, rounded):
            short = rounded
    return short


def shows(mutant: Mutant, steps: Sequence[str]) -> bool:
    """Whether it is the missing rule by which a promise is broken in these steps."""
    with mutant.missing():
        broken = breaks(mutant.machine(), steps)
    return broken and not breaks(mutant.machine(), steps)


def breaks(state: Disturbed, steps: Sequence[str]) -> bool:
    """Whether a promise is broken in these steps."""
    try:
        try:
            for step in steps:
                exec(step, {"state": state, "Fault": Fault})
        finally:
            state.teardown()
    except Violation:
        return True
    return False


def as_function(mutant: Mutant, steps: Sequence[str]) -> str:
    """Write the steps as a function."""
    return "\n    ".join([f"def {mutant.function}(state: {mutant.machine.__name__}) -> None:", *steps])


def main(names: Sequence[str]) -> None:
    """Record these, or all."""
    for mutant in MUTANTS:
        if not names or mutant.name in names:
            steps = search(mutant)
            if steps is None:
                print(f"# {mutant.name}: nothing was found.", flush=True)
            elif breaks(mutant.machine(), steps):
                print("# This is a defect, with the rule too:", as_function(mutant, steps), sep="\n", flush=True)
            else:
                print(as_function(mutant, shorten(mutant, steps)), end="\n\n\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
