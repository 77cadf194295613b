"""The promises of culling, and those of acts, hold whatever happens, as far as a search finds: short here, long by
`make model`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.acts_machine import Gateways
from tests.simulation.machine import Deployment, Disturbed
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.record import as_function, search

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SHORT = settings(
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=CHECKS,
)
LONG = settings(SHORT, max_examples=3000, stateful_step_count=40, derandomize=False, print_blob=True)
MACHINES = [(Deployment, 30), (Gateways, 10)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("machine", "examples"), MACHINES)
def test_no_promise_is_broken_in_a_short_search(machine: type[Disturbed], examples: int) -> None:
    run_state_machine_as_test(machine, settings=settings(SHORT, max_examples=examples))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("machine", [machine for machine, _ in MACHINES])
def test_no_promise_is_broken_in_a_long_search(machine: type[Disturbed]) -> None:
    run_state_machine_as_test(machine, settings=LONG)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_search_finds_what_breaks_without_a_rule(mutant: Mutant) -> None:
    steps = search(mutant)
    assert steps is not None
    print("", as_function(mutant, steps), sep="\n")
