"""Who asks: tokens, compared in constant time.

A token comes as `Authorization: token …`, `Authorization: Bearer …` or `?token=…`; any of them that fits is enough.
Several tokens are good at once, so that one can be replaced without a stop. Without any token configured everybody is
let in, which the settings allow on loopback only, and which is watched by `Host` and `Origin` (`origin.py`).

Not promised: that the bearer is who `KERNEL_USERNAME` says. The name is as trustworthy as the token's bearer.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SCHEME = re.compile(r"\s*(?:token|bearer)\s+(.*?)\s*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who makes a request, in the fields that Jupyter's authorizers read."""

    username: str
    name: str
    display_name: str
    initials: str | None = None
    avatar_url: str | None = None
    color: str | None = None
    admin: bool = False

    def model(self) -> dict[str, Any]:
        """Return the identity as `/api/me` tells it."""
        fields = ("username", "name", "display_name", "initials", "avatar_url", "color")
        return {field: getattr(self, field) for field in fields}


class TokenAuth:
    """Knows the tokens, and who their bearers are.

    Args:
        tokens: Any of these is enough; none: nobody needs one.
        admin_tokens: As good as the others, and for the administrator's routes.
        username: The gateway's process user, who a bearer is taken for.
    """

    def __init__(self, tokens: Iterable[str], admin_tokens: Iterable[str] = (), *, username: str) -> None:
        self._tokens = [_digest(token.encode()) for token in tokens if token]
        self._admin_tokens = [_digest(token.encode()) for token in admin_tokens if token]
        self._user = Identity(username=username, name=username, display_name=username)
        self._admin = Identity(username=username, name=username, display_name=username, admin=True)

    @property
    def required(self) -> bool:
        """Is a token needed? An administrator's token alone asks none of everybody else."""
        return bool(self._tokens)

    def identify(self, given: Sequence[bytes]) -> Identity | None:
        """Say whose the given tokens are; None when a token is needed and none of them fits."""
        digests = [_digest(token) for token in given]
        if _any_equal(digests, self._admin_tokens):
            return self._admin
        if _any_equal(digests, self._tokens) or not self.required:
            return self._user
        return None


def given_tokens(headers: Mapping[str, str], query: Mapping[str, Sequence[bytes]]) -> list[bytes]:
    """Return every token that a request carries, as bytes, none of them trusted.

    Args:
        headers: The request's headers, looked up by their canonical names; values decoded as latin-1, as tornado does.
        query: The arguments of the query.
    """
    tokens = list(query.get("token", ()))
    found = _SCHEME.fullmatch(headers.get("Authorization", ""))
    if found:
        tokens.append(found[1].encode("latin-1", "replace"))
    return [token for token in tokens if token]


def is_loopback(host: str) -> bool:
    """Say whether `host` (a name, or an address with or without brackets) can only be this machine."""
    name = host.strip("[]").split("%", 1)[0].rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _digest(token: bytes) -> bytes:
    # Digests are of one length, so that a comparison tells nothing of a token's length either.
    return hashlib.sha256(token).digest()


def _any_equal(given: Sequence[bytes], known: Sequence[bytes]) -> bool:
    # A list, not a generator: all pairs are compared, whichever fits.
    return any([hmac.compare_digest(one, other) for one in given for other in known])
