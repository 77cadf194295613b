from __future__ import annotations

from typing import Any

import pytest

from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.config.validation import check_settings
from persistence.errors import ConfigurationError


def check(operation_timeout_seconds: float = 5.0, **settings: Any) -> None:
    check_settings(GatewayTraits(**settings), operation_timeout_seconds=operation_timeout_seconds)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lease_duration": 2.0, "renew_deadline": 1.2, "renew_interval": 0.5, "operation_timeout_seconds": 0.5},
        {"ip": "::1"},
        {"ip": "127.0.0.2"},
        {"ip": "localhost"},
        {"ip": "0.0.0.0", "auth_token": "t"},
        {"allow_origin": "https://hub", "allow_credentials": "true"},
    ],
)
def test_settings_that_fit_together_are_accepted(settings: dict[str, Any]) -> None:
    check(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"operation_timeout_seconds": 10.0},
            r"EG_OPERATION_TIMEOUT, 10 s\) must be shorter than the renew deadline \(EG_RENEW_DEADLINE",
        ),
        (
            {"renew_deadline": 15.0},
            r"EG_RENEW_DEADLINE, 15 s\) must be shorter than the lease duration \(EG_LEASE_DURATION",
        ),
        ({"renew_interval": 9.5}, r"renew interval with its jitter \(EG_RENEW_INTERVAL, 10.45 s\)"),
        ({"renew_interval": 10.0, "renew_jitter": 0.0}, "renew interval"),
        ({"keyfile": "k"}, "keyfile is set without certfile"),
        ({"client_ca": "c"}, "client_ca is set without certfile"),
        ({"ip": "0.0.0.0"}, "EG_AUTH_TOKEN"),
        ({"ip": ""}, "EG_AUTH_TOKEN"),
        ({"ip": "gateway.example.org"}, "EG_AUTH_TOKEN"),
        ({"ip": "300.1.1.1"}, r"ip 300\.1\.1\.1 is no IP address"),
        ({"ip": "127.0.0", "auth_token": "t"}, "is no IP address"),
        ({"ip": "::g", "auth_token": "t"}, "is no IP address"),
        ({"ip": "0.0.0.0", "auth_token": " , "}, "EG_AUTH_TOKEN"),
        ({"allow_origin": "*", "allow_credentials": "true"}, "name the origin"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(**settings)
