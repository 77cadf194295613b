"""Every rule is needed: without it a course of events that goes well otherwise breaks a promise."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import Violation


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_without_the_rule_a_promise_is_broken(mutant: Mutant) -> None:
    broken = []
    for seed in range(mutant.seeds):
        try:
            with mutant.missing():
                mutant.scenario(seed)
        except Violation as violation:
            broken.append(str(violation))
            break
    assert broken


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_with_the_rule_it_goes_well(mutant: Mutant) -> None:
    for seed in range(min(mutant.seeds, 2)):
        mutant.scenario(seed)
