"""Messages that the gateway makes itself, and the little that it reads of a kernel's. Pure but for fresh ids.

The parts of a message are header, parent header, metadata, content (JSON each), then buffers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from jupyter_client._version import protocol_version
from jupyter_client.session import utcnow

from enterprise_gateway.relay.codec import PARTS, read_header, read_object
from enterprise_gateway.relay.pieces import Piece

DELIMITER = b"<IDS|MSG>"
USERNAME = "gateway"
# Names the gateway's own requests, on every replica: their statuses are no activity and no client's business.
OWN_PREFIX = "enterprise-gateway-"
# Output that a client can do without better than without anything else.
DROPPABLE = frozenset({"stream", "display_data", "update_display_data"})
EMPTY = b"{}"


def make_header(msg_type: str, *, msg_id: str | None = None, session: str = USERNAME) -> dict[str, str]:
    """Make a header of the gateway's own. Its date is informative: nothing is decided by it."""
    return {
        "msg_id": msg_id or str(uuid4()),
        "msg_type": msg_type,
        "username": USERNAME,
        "session": session,
        "date": utcnow().isoformat().replace("+00:00", "Z"),
        "version": protocol_version,
    }


def make_parts(
    msg_type: str,
    content: Mapping[str, Any],
    *,
    parent: bytes = EMPTY,
    msg_id: str | None = None,
    session: str = USERNAME,
) -> list[bytes]:
    """Make the parts of a message; `parent` is the header of the request it answers, as it was sent."""
    return [pack(make_header(msg_type, msg_id=msg_id, session=session)), parent, EMPTY, pack(content)]


def status(execution_state: str, *, parent: bytes = EMPTY, session: str = USERNAME) -> list[bytes]:
    """A `status` for IOPub.

    Args:
        execution_state: What it says.
        parent: The header of the request it belongs to.
        session: The kernel's own, where it is known: a message of another one makes JupyterLab drop those that it has
            received before and not yet handled.
    """
    return make_parts("status", {"execution_state": execution_state}, parent=parent, session=session)


def stderr(text: str, *, parent: bytes = EMPTY, session: str = USERNAME) -> list[bytes]:
    """A notice to whoever reads the notebook, as a line on stderr; `session` as for `status`."""
    return make_parts("stream", {"name": "stderr", "text": text + "\n"}, parent=parent, session=session)


def aborted(request_type: str, request_header: bytes, *, session: str = USERNAME) -> list[bytes]:
    """The answer to a request that its kernel will never answer; `session` as for `status`."""
    return make_parts(reply_type(request_type), {"status": "aborted"}, parent=request_header, session=session)


def reply_type(request_type: str) -> str:
    """Name the reply to a request: `execute_request` is answered by `execute_reply`."""
    return request_type.removesuffix("_request") + "_reply"


def own_request(msg_type: str, content: Mapping[str, Any]) -> tuple[str, list[bytes]]:
    """Make a request of the gateway's own; returns (message id, parts)."""
    msg_id = OWN_PREFIX + uuid4().hex
    return msg_id, make_parts(msg_type, content, msg_id=msg_id)


def is_own(msg_id: str) -> bool:
    """Is this the id of a request that a gateway made itself, here or on another replica?"""
    return msg_id.startswith(OWN_PREFIX)


def strip_envelope(wire: Sequence[Piece]) -> list[Piece] | None:
    """Cut routing prefix, delimiter and signature off a ZMQ message; None if no whole message is left."""
    try:
        parts = list(wire[wire.index(DELIMITER) + 2 :])
    except ValueError:
        return None
    return parts if len(parts) >= PARTS else None


def message_type(parts: Sequence[Piece]) -> str:
    """Return the type in the header; empty if there is none."""
    return str(read_header(parts).get("msg_type") or "")


def parent_id(parts: Sequence[Piece]) -> str:
    """Return the id of the request this message belongs to; empty if there is none."""
    return str(read_object(parts[1]).get("msg_id") or "")


def pack(value: Mapping[str, Any]) -> bytes:
    """Make one JSON part."""
    return json.dumps(value).encode()
