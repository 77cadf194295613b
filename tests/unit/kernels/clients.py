"""Clients of real kernels, as tests need them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient

ANSWER_SECONDS = 30.0


async def start_channels(client: AsyncKernelClient) -> None:
    """Connect to a kernel that answers, and whose IOPub is seen to flow: until then it drops what it says there."""
    client.start_channels(stdin=False, hb=False)
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            await client.kernel_info(reply=True, timeout=ANSWER_SECONDS)
            with suppress(Empty):
                await client.get_iopub_msg(timeout=0.2)
                return


async def output(client: AsyncKernelClient, code: str) -> str:
    """Run code, and give what it printed once it is done."""
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    await client.execute_interactive(code, output_hook=hear, timeout=ANSWER_SECONDS, allow_stdin=False)
    return "".join(said)
