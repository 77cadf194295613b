"""Servers that are started, and how soon each gives its first answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from time import perf_counter

from tests.cluster.processes import ServerProcess

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.005


def launched(launch: Callable[[], ServerProcess]) -> tuple[ServerProcess, float]:
    """Start a server; return it with the seconds until it answered `GET /api`."""
    began = perf_counter()
    server = launch()
    try:
        while not _answers(server):
            assert server.running, f"{server.name} has ended:\n{server.log[-2000:]}"
            assert perf_counter() - began < PATIENCE_SECONDS, f"{server.name} does not answer:\n{server.log[-2000:]}"
            time.sleep(PAUSE_SECONDS)
    except BaseException:
        server.kill()
        raise
    return server, perf_counter() - began


def _answers(server: ServerProcess) -> bool:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/api")
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
