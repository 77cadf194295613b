"""Who may do what: the lists of users, and Jupyter's authorizers.

Enterprise Gateway's rules for its lists of users: the unauthorized ones are the kernelspec's and the gateway's
together; of the authorized ones the kernelspec's, where it has any, stand in for the gateway's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from traitlets.config import Configurable

from enterprise_gateway.errors import GatewayError, forbidden

# Where a kernelspec's metadata keeps the settings of what launches it: EG's name, and Jupyter's.
_LAUNCHERS = ("process_proxy", "kernel_provisioner")


@dataclass(frozen=True, kw_only=True)
class UserPolicy:
    """Which users may start kernels.

    Attributes:
        authorized_users: If there are any, only these.
        unauthorized_users: Never these.
    """

    authorized_users: Collection[str] = ()
    unauthorized_users: Collection[str] = ()

    def allows(self, username: str, metadata: Mapping[str, Any]) -> bool:
        """Say whether `username` may start kernels of a kernelspec with this metadata."""
        return self.refusal(username, metadata) is None

    def check(self, username: str, display_name: str, metadata: Mapping[str, Any]) -> None:
        """Refuse a user who may not start kernels of this kernelspec.

        Args:
            username: The request's user.
            display_name: The kernelspec's, for the message.
            metadata: The kernelspec's.

        Raises:
            GatewayError: 403, saying which of the lists it was.
        """
        clause = self.refusal(username, metadata)
        if clause is not None:
            raise _refused(username, clause, display_name)

    def refusal(self, username: str, metadata: Mapping[str, Any]) -> str | None:
        """Say what the user is not; None for one who may."""
        if username in self.unauthorized_users or username in _listed(metadata, "unauthorized_users"):
            return "not authorized"
        allowed = _listed(metadata, "authorized_users") or self.authorized_users
        if allowed and username not in allowed:
            return "not in the set of users authorized"
        return None


def _refused(username: str, clause: str, display_name: str) -> GatewayError:
    return forbidden(
        f"User '{username}' is {clause} to start kernel '{display_name}'. "
        "Ensure KERNEL_USERNAME is set to an appropriate value and retry the request.",
        "User not authorized",
    )


def _listed(metadata: Mapping[str, Any], key: str) -> set[str]:
    """Return the users under `key` of every launcher's settings; one written as text may hold several, with commas."""
    users: set[str] = set()
    for launcher in _LAUNCHERS:
        value = _inner(_inner(metadata, launcher), "config").get(key)
        if value:  # of a type that makes no sense it names a user who does not exist: nobody gets in by a mistake
            names = value if isinstance(value, (list, tuple)) else str(value).split(",")
            users.update(stripped for name in names if (stripped := str(name).strip()))
    return users


def _inner(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


class Authorizer(Protocol):
    """What `authorizer_class` must be able to do: the interface of `jupyter_server.auth.Authorizer`."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> Awaitable[bool] | bool:
        """Say whether `user` may do `action` (read, write, execute) to `resource` (api, kernels, sessions, …)."""
        ...


class AllowAll:
    """The default: whoever has a token may do everything."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Say yes."""
        return True


def make_authorizer(authorizer_class: type[Any] | None, parent: Configurable) -> Authorizer:
    """Build the configured authorizer; without a class, the one that allows all.

    Args:
        authorizer_class: Any class with `is_authorized`; Jupyter's ones are configurables and get their settings.
        parent: The application, whose configuration and log it shares.
    """
    if authorizer_class is None:
        return AllowAll()
    arguments = {"parent": parent} if issubclass(authorizer_class, Configurable) else {}
    made: Authorizer = authorizer_class(**arguments)
    return made
