from __future__ import annotations

from typing import Any

import pytest

from culling.policy import Bounds
from enterprise_gateway.config.cull_rules import cull_rules
from enterprise_gateway.config.culling import CullingTraits
from persistence.errors import ConfigurationError


def settings(**values: Any) -> CullingTraits:
    return CullingTraits(**values)


def test_by_default_nothing_is_culled() -> None:
    assert cull_rules(settings()).shortest_timeout_seconds is None


def test_names_have_timeouts_of_their_own() -> None:
    rules = cull_rules(settings(cull_idle_timeout_by_user="ann=60, a=b@example.org=0"))
    assert rules.by_user == {"ann": 60.0, "a=b@example.org": 0.0}


@pytest.mark.parametrize("word", ["ann", "=60", "ann=soon", "ann=-1", "ann=inf", "ann=nan"])
def test_what_is_no_name_with_seconds_is_refused_by_name(word: str) -> None:
    with pytest.raises(ConfigurationError, match="cull_idle_timeout_by_kernelspec"):
        cull_rules(settings(cull_idle_timeout_by_kernelspec=word))


def test_a_kernels_own_wish_has_bounds_where_it_is_allowed() -> None:
    assert cull_rules(settings()).own is None
    allowed = cull_rules(settings(cull_own_timeout=True, cull_own_timeout_min=5.0, cull_own_timeout_max=50.0))
    assert allowed.own == Bounds(least_seconds=5.0, most_seconds=50.0)


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="cull_own_timeout_min"):
        cull_rules(settings(cull_own_timeout_min=100.0, cull_own_timeout_max=50.0))
