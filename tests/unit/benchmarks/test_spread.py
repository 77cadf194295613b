from __future__ import annotations

import pytest

from benchmarks.spread import Spread, percentile, times_better


def test_a_spread_has_the_middle_and_the_ends() -> None:
    assert Spread.of([5.0, 1.0, 3.0]) == Spread(median=3.0, least=1.0, most=5.0)


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 3.0), (95, 4.8), (100, 5.0)])
def test_a_percentile_lies_between_two_values(percent: float, value: float) -> None:
    assert percentile([5.0, 4.0, 3.0, 2.0, 1.0], percent) == pytest.approx(value)


def test_one_value_is_every_percentile() -> None:
    assert percentile([7.0], 95) == 7.0


def test_twice_as_many_or_half_as_long_is_twice_as_good() -> None:
    assert times_better(10.0, 5.0, more_is_better=True) == 2.0
    assert times_better(5.0, 10.0, more_is_better=False) == 2.0


def test_nothing_is_compared_with_zero() -> None:
    assert times_better(0.0, 5.0, more_is_better=True) is None
    assert times_better(5.0, 0.0, more_is_better=False) is None
