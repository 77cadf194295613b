"""What provisioners tell, as JSON and back: they may hold bytes, keys above all, and what is sealed is JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

_BYTES = "$bytes"


def frozen(value: Any) -> Any:
    """Make a value JSON-able: bytes become `{"$bytes": …}`, tuples lists, keys text."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(key): frozen(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(inner) for inner in value]
    return value


def thawed(value: Any) -> Any:
    """Give back what `frozen` was given, but for tuples and keys."""
    if isinstance(value, Mapping):
        if set(value) == {_BYTES}:
            return base64.b64decode(value[_BYTES])
        return {key: thawed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [thawed(inner) for inner in value]
    return value
