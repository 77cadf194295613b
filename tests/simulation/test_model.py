"""The promises of culling hold whatever happens, as far as a search finds: short here, long by `make model`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import Deployment
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import Violation

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SHORT = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=CHECKS,
)
LONG = settings(SHORT, max_examples=3000, stateful_step_count=40, derandomize=False, print_blob=True)
SEARCH = settings(LONG, max_examples=2000, phases=(Phase.generate,))


def test_no_promise_is_broken_in_a_short_search() -> None:
    run_state_machine_as_test(Deployment, settings=SHORT)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_no_promise_is_broken_in_a_long_search() -> None:
    run_state_machine_as_test(Deployment, settings=LONG)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_search_finds_what_breaks_without_a_rule(mutant: Mutant) -> None:
    if mutant.name.startswith("restart"):
        pytest.skip("the search has no restarts")
    with mutant.missing(), pytest.raises(Violation):
        run_state_machine_as_test(Deployment, settings=SEARCH)
