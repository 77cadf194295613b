"""Reads, of all that passes on IOPub, the little that concerns the gateway: statuses and welcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from enterprise_gateway.relay.codec import read_header, read_object
from enterprise_gateway.relay.interfaces import KernelStatus
from enterprise_gateway.relay.messages import USERNAME, is_own
from enterprise_gateway.relay.pieces import Piece

REMEMBERED = 1_000  # requests on control whose statuses may still come


class StatusReader:
    """Knows which requests went over control here; what other replicas' clients sent there, it can't know.

    Attributes:
        session: What the kernel calls its own session; the gateway's name until it has said so.
    """

    def __init__(self) -> None:
        self.session = USERNAME
        self._control: dict[str, None] = {}

    def sent_on_control(self, msg_id: str) -> None:
        """A client here sends this request on control."""
        if len(self._control) >= REMEMBERED:
            del self._control[next(iter(self._control))]
        self._control[msg_id] = None

    def read(self, parts: Sequence[Piece]) -> KernelStatus | Literal["welcome"] | None:
        """Read a message on IOPub: its status, a welcome that was meant for one subscriber, or nothing to the gateway.

        A look for the word spares parsing nearly all headers.
        """
        header = bytes(parts[0])
        if b'"status"' not in header and b'"iopub_welcome"' not in header:
            return None
        read = read_header(parts)
        msg_type = read.get("msg_type")
        self.session = str(read.get("session") or self.session)
        if msg_type == "iopub_welcome":
            return "welcome"
        return self._status(parts) if msg_type == "status" else None

    def _status(self, parts: Sequence[Piece]) -> KernelStatus:
        parent = read_object(parts[1])
        parent_id = str(parent.get("msg_id") or "")
        return KernelStatus(
            execution_state=str(read_object(parts[3]).get("execution_state") or ""),
            parent_id=parent_id,
            parent_type=str(parent.get("msg_type") or ""),
            own=is_own(parent_id),
            control=parent_id in self._control,
        )
