"""What a start request says."""

from __future__ import annotations

import pytest

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.requests import (
    MAX_LAUNCH_TIMEOUT_SECONDS,
    StartRequest,
    launch_timeout_seconds,
    stable_env,
)


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, 30.0),
        ({"KERNEL_LAUNCH_TIMEOUT": "7"}, 7.0),
        ({"KERNEL_LAUNCH_TIMEOUT": "0.5"}, 0.5),
        ({"KERNEL_LAUNCH_TIMEOUT": "1e9"}, MAX_LAUNCH_TIMEOUT_SECONDS),
    ],
)
def test_a_request_may_say_how_long_its_launch_may_take(env: dict[str, str], seconds: float) -> None:
    assert launch_timeout_seconds(env, 30.0) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "0", "nan", "inf", "1,5"])
def test_a_launch_timeout_that_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(GatewayError, match="KERNEL_LAUNCH_TIMEOUT") as refused:
        launch_timeout_seconds({"KERNEL_LAUNCH_TIMEOUT": text}, 30.0)
    assert refused.value.status == 400


def test_what_changes_from_try_to_try_makes_no_other_request() -> None:
    first = {"KERNEL_ID": "a", "KERNEL_LAUNCH_TIMEOUT": "40", "KERNEL_USERNAME": "ann"}
    again = {"KERNEL_LAUNCH_TIMEOUT": "39", "KERNEL_USERNAME": "ann"}
    assert stable_env(first) == stable_env(again)
    assert stable_env(first) != stable_env({**again, "KERNEL_USERNAME": "bob"})


@pytest.mark.parametrize(
    ("kernel_id", "key", "repeatable"), [(None, None, False), ("id", None, True), (None, "key", True)]
)
def test_a_request_with_an_id_or_key_can_be_repeated(kernel_id: str | None, key: str | None, repeatable: bool) -> None:
    request = StartRequest(
        name=None, username="ann", arrived_boottime=0.0, kernel_id=kernel_id, idempotency_key=key, env={"SECRET": "s3"}
    )
    assert request.repeatable is repeatable
    assert "s3" not in repr(request)
