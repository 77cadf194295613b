from __future__ import annotations

import json
from typing import Any

import pytest

from enterprise_gateway.kernels.jsonable import frozen, thawed


@pytest.mark.parametrize("value", [{}, {"a": b"\xff", "b": [1, None, {"c": b""}], "d": "text", "e": 1.5}])
def test_what_goes_through_json_comes_back(value: dict[str, Any]) -> None:
    assert thawed(json.loads(json.dumps(frozen(value)))) == value


def test_a_tuple_comes_back_as_a_list() -> None:
    assert thawed(frozen({"a": (1, b"x")})) == {"a": [1, b"x"]}
