"""The REST API of a gateway, one blocking request after the other."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 120.0


class Refused(Exception):
    """A gateway's answer that is none of the expected."""


class Rest:
    """A connection to one gateway that is kept open. Not for several threads.

    Args:
        url: The gateway's.
        token: Sent with each request.
    """

    def __init__(self, url: str, token: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
        self._headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return its answer's JSON; None of an empty one.

        Raises:
            Refused: The status is 400 or more.
            OSError: The gateway can't be reached.
        """
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 400:
            raise Refused(f"{method} {path}: {response.status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer) if answer else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
