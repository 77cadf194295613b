from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.handlers.server import Server, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server without a token."""
    async with serving() as running:
        yield running
