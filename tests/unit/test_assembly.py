from __future__ import annotations

import socket
from typing import Any

import pytest

from enterprise_gateway.assembly import reachable_url
from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.server import Bound

BOUND = Bound(sockets=[], port=8889, context=None)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8889"),
        ({"ip": "10.0.0.7", "base_url": "/gw/"}, "http://10.0.0.7:8889/gw"),
        ({"ip": "0.0.0.0"}, f"http://{socket.gethostname()}:8889"),
        ({"ip": "::"}, f"http://{socket.gethostname()}:8889"),
        ({"ip": "0.0.0.0", "advertised_url": "http://gw:1"}, "http://gw:1"),
    ],
)
def test_the_url_that_is_told_is_one_that_others_can_use(settings: dict[str, Any], url: str) -> None:
    assert reachable_url(GatewayTraits(**settings), BOUND) == url
