"""A route: its address as people write it, and as tornado matches it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from enterprise_gateway.handlers.base import GuardedHandler

# The last part of a kernelspec's file may hold slashes, every other argument is one segment.
_WHOLE_REST = "{file}"


@dataclass(frozen=True, kw_only=True)
class Route:
    """An address and who serves it.

    Attributes:
        path: From `base_url` on, with arguments in braces: `/api/kernels/{kernel_id}`.
        handler: Gets the arguments by their names.
    """

    path: str
    handler: type[GuardedHandler]

    def pattern(self, prefix: str) -> str:
        """Return the regular expression of the whole path, under a `base_url` that ends with a slash."""
        parts = re.split(r"(\{\w+\})", self.path)
        return re.escape(prefix.rstrip("/")) + "".join(map(_pattern, parts)) + "$"


def _pattern(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return f"(?P<{part[1:-1]}>{'.+' if part == _WHOLE_REST else '[^/]+'})"
