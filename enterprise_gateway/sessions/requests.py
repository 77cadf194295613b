"""What a client asks for when it opens or changes a session."""

from __future__ import annotations

from dataclasses import dataclass

from enterprise_gateway.kernels.requests import StartRequest


@dataclass(frozen=True, kw_only=True)
class SessionRequest:
    """A request to open a session.

    Attributes:
        path: The notebook's path, or any text that names the session.
        name: What to call it; "" for none.
        type: `notebook`, `console`, `file`, or what an extension calls its own.
        start: The kernel to start. Its `kernel_id` may name one that lives: then it is that one, and none is started.
    """

    path: str
    name: str
    type: str
    start: StartRequest


@dataclass(frozen=True, kw_only=True)
class SessionChanges:
    """A request to change a session; None leaves a thing as it is.

    Attributes:
        path: A new path, after a rename.
        name: A new name.
        type: A new type.
        kernel_id: A living kernel to go on with. It goes before `start`.
        start: A new kernel to start. The one before is stopped when the session has changed.
    """

    path: str | None = None
    name: str | None = None
    type: str | None = None
    kernel_id: str | None = None
    start: StartRequest | None = None
