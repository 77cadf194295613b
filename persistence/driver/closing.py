"""Closing a client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(closing: Coroutine[Any, Any, None]) -> None:
    """Close a client, and return when it is closed, cancelled meanwhile or not.

    Cancelled half way, PyMongo's takes itself for open, has no monitors any more, and keeps its connections.

    Raises:
        asyncio.CancelledError: Somebody cancelled this; the client is closed all the same.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})
