"""Commands to one server itself, whatever state it is in: for those who set servers up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from persistence.driver.closing import to_the_end
from persistence.driver.failures import FAILURES, translate


async def admin_command(uri: str, command: Mapping[str, Any], *, timeout_seconds: float) -> Mapping[str, Any]:
    """Run one command on the server that `uri` names, even if it is no primary, with a client of its own.

    Returns:
        The server's answer. A refusal is an answer too: its `ok` is 0, its `code` says why.

    Raises:
        StoreUnavailable: It gave no answer in time.
    """
    timeout_ms = max(1, int(timeout_seconds * 1000))
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        uri, directConnection=True, timeoutMS=timeout_ms, serverSelectionTimeoutMS=timeout_ms
    )
    try:
        return await client.admin.command(dict(command))
    except OperationFailure as refusal:
        return refusal.details or {"ok": 0, "code": refusal.code}
    except FAILURES as error:
        raise translate(next(iter(command)), error) from error
    finally:
        await to_the_end(client.close())
