"""The mark at which an ipykernel drops what it sends on IOPub: libzmq's 1,000 messages, too few for a loop that prints.

Its IOPub thread hands on in one go what the cells' thread has made since it last ran, which may be thousands, before
libzmq has taken the first to the network. So no subscriber, however fast, gets all of it. Only the kernel can raise its
mark, and only for those who are subscribed: each subscription asks it to, by a silent cell that leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zmq

from enterprise_gateway.relay import probe

PATIENCE_SECONDS = 10.0
# One expression, so that no name is bound; sockets belong to the thread that uses them.
CODE = "(lambda iopub: iopub.schedule(lambda: iopub.socket.set({option}, {mark})))(get_ipython().kernel.iopub_thread)"


async def raise_send_mark(connection: Mapping[str, Any], mark: int) -> None:
    """Have an ipykernel keep more messages for its present subscribers before it drops any.

    A busy kernel does it after its cell: the request is with it even if nobody waits for the answer any more.

    Args:
        connection: The connection file's content.
        mark: In messages.
    """
    content = {
        "code": CODE.format(option=int(zmq.SNDHWM), mark=mark),
        "silent": True,
        "store_history": False,
        "allow_stdin": False,
        "stop_on_error": False,  # a kernel that is built otherwise goes on
    }
    try:
        await probe.ask(connection, "shell", "execute_request", content, timeout_seconds=PATIENCE_SECONDS)
    except (TimeoutError, zmq.ZMQError):  # busy, or no descriptor is left: what is dropped meanwhile is told
        return
