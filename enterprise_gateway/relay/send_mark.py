"""The mark at which an ipykernel drops what it sends on IOPub: libzmq's 1,000 messages, too few for a loop that prints.

Its IOPub thread hands on in one go what the cells' thread has made since it last ran, which may be thousands, before
libzmq has taken the first to the network. So no subscriber, however fast, gets all of it. Only the kernel can raise its
mark: it is asked to by its first cell, see `first_cell`.

It must be before anybody has subscribed. A socket tells a new mark to its present subscribers, also to one that is just
going, whose end libzmq 4.3 may have freed: the kernel then dies of SIGSEGV. And a subscriber gets the mark that was
right when the kernel bound. So the kernel sets it, binds a second time, and puts that socket in the place of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zmq

from enterprise_gateway.relay.sockets import address

# One expression, so that no name is bound. Sockets belong to the thread that uses them. The number 0 is no channel's.
CODE = (
    "(lambda iopub, os, done: (iopub.schedule(lambda: (iopub.socket.set({option}, {mark}), "
    "iopub.socket.bind('ipc://' + {beside!r}), os.replace({beside!r}, {path!r}), done.set())), done.wait(5)))"
    "(get_ipython().kernel.iopub_thread, __import__('os'), __import__('threading').Event())"
)


def raising(connection: Mapping[str, Any], mark: int) -> str | None:
    """Return the expression that has an ipykernel keep more messages for each of its subscribers to come.

    Args:
        connection: The connection file's content.
        mark: In messages.

    Returns:
        None for a kernel on TCP: a port can't be bound anew without a moment in which it is another's for the taking.
        What is dropped then is told.
    """
    if connection.get("transport") != "ipc":
        return None
    return CODE.format(
        option=int(zmq.SNDHWM),
        mark=mark,
        path=address(connection, "iopub").removeprefix("ipc://"),
        beside=f"{connection['ip']}-0",
    )
