"""Authorizers as people write them for Jupyter Server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

from jupyter_server.auth.authorizer import Authorizer


class ReadOnly(Authorizer):
    """Whoever has a token may look at everything, and change nothing."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Say yes to reading."""
        return action == "read"


class Hanging(Authorizer):
    """Asks a server that never answers, in a thread."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> Awaitable[bool]:  # type: ignore[override]
        """Never say anything."""
        print("the authorizer is asked", flush=True)
        return asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
