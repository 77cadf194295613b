"""An authorizer as people write them for Jupyter Server."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.authorizer import Authorizer


class ReadOnly(Authorizer):
    """Whoever has a token may look at everything, and change nothing."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Say yes to reading."""
        return action == "read"
