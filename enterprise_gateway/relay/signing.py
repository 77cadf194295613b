"""Signs and checks messages as `jupyter_client.session.Session` does: a keyed digest over the four JSON parts."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from enterprise_gateway.relay.codec import PARTS
from enterprise_gateway.relay.pieces import Piece


class Signer:
    """Signs for one generation of a kernel; an empty key signs nothing, as Jupyter has it.

    Args:
        key: The signing key.
        scheme: `hmac-<digest>`.

    Raises:
        ValueError: The scheme is none that is known here.
    """

    def __init__(self, key: bytes, scheme: str = "hmac-sha256") -> None:
        method, _, digest = scheme.partition("-")
        if method != "hmac" or not digest:
            raise ValueError(f"unknown signature scheme {scheme!r}")
        self._fresh = hmac.new(key, digestmod=digest) if key else None

    @classmethod
    def of(cls, connection: Mapping[str, Any]) -> Signer:
        """Make the signer that a connection file asks for."""
        key = connection.get("key") or b""
        return cls(key.encode() if isinstance(key, str) else key, connection.get("signature_scheme") or "hmac-sha256")

    def sign(self, parts: Sequence[Piece]) -> bytes:
        """Return the signature of a message's parts; buffers are not signed."""
        if self._fresh is None:
            return b""
        digest = self._fresh.copy()
        for part in parts[:PARTS]:
            digest.update(part)
        return digest.hexdigest().encode()

    def fits(self, signature: Piece, parts: Sequence[Piece]) -> bool:
        """Was this message signed with this key? Takes the same time whatever the answer."""
        return hmac.compare_digest(signature, self.sign(parts))
