"""Every rule is needed: without it what a search has found breaks a promise, and with it that goes well."""

from __future__ import annotations

import pytest

from tests.simulation import recorded
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import Violation

EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def replay(mutant: Mutant) -> None:
    state = mutant.machine()
    try:
        getattr(recorded, mutant.function)(state)
    finally:
        state.teardown()


@EACH
def test_without_the_rule_a_promise_is_broken(mutant: Mutant) -> None:
    with mutant.missing(), pytest.raises(Violation):
        replay(mutant)


@EACH
def test_with_the_rule_it_goes_well(mutant: Mutant) -> None:
    replay(mutant)
