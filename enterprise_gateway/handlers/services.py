"""What handlers need of the rest of the gateway. They find it as `self.gateway`.

Every method raises `GatewayError` for an answer other than success, and lets `StoreUnavailable` pass; handlers render
both. The methods that start kernels stop their launch when they are cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from enterprise_gateway.authorization import AllowAll, Authorizer, UserPolicy
from enterprise_gateway.handlers.auth import TokenAuth
from enterprise_gateway.handlers.options import HandlerOptions
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.relay.codec import Framing
from enterprise_gateway.relay.connection import ClientConnection
from enterprise_gateway.relay.interfaces import ClientSink
from enterprise_gateway.relay.options import RelayOptions
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest

Model = dict[str, Any]


class Channels(Protocol):
    """A kernel that a WebSocket may be opened to."""

    @property
    def options(self) -> RelayOptions:
        """The limits of WebSockets."""
        ...

    def attach(self, sink: ClientSink, framing: Framing) -> ClientConnection:
        """The WebSocket has opened; what it is told, the returned one passes on."""
        ...

    def settle(self) -> None:
        """Count the WebSockets that are open: the one it was held for has opened, or failed to, or has closed."""
        ...


class Kernels(Protocol):
    """Kernels of the cluster, whichever replica owns them."""

    async def start(self, request: StartRequest) -> Model:
        """Start a kernel, or find the one that this request has started before. Cancelling it stops the launch."""
        ...

    async def list_models(self) -> list[Model]:
        """Return every living kernel, as the database has it."""
        ...

    async def model(self, kernel_id: str) -> Model:
        """Return one kernel."""
        ...

    async def interrupt(self, kernel_id: str) -> None:
        """Interrupt what it runs."""
        ...

    async def restart(self, kernel_id: str) -> Model:
        """Restart it, and return it as it is then."""
        ...

    async def shutdown(self, kernel_id: str) -> None:
        """End it."""
        ...

    async def open_channels(self, kernel_id: str, session_id: str | None) -> Channels:
        """Hold it for a WebSocket of this session, before that is accepted."""
        ...


class Sessions(Protocol):
    """Jupyter sessions of the cluster, listed while their kernel lives."""

    async def create(self, request: SessionRequest) -> Model:
        """Open a session, or find the user's one of this path and type. Cancelling it stops the launch."""
        ...

    async def list_models(self) -> list[Model]:
        """Return every session whose kernel lives."""
        ...

    async def model(self, session_id: str) -> Model:
        """Return one session."""
        ...

    async def update(self, session_id: str, changes: SessionChanges) -> Model:
        """Change it, and return it as it is then. Cancelling it stops the launch of a new kernel."""
        ...

    async def delete(self, session_id: str) -> None:
        """End its kernel and forget it."""
        ...


class Specs(Protocol):
    """The kernelspecs that may be used."""

    async def all(self) -> Model:
        """Return `{"default", "kernelspecs"}`. It is shared: who changes it, copies it first."""
        ...

    async def get(self, name: str) -> Model:
        """Return one kernelspec: `{"name", "spec", "resources"}`. Shared like `all`'s."""
        ...

    async def resource_path(self, name: str, file: str) -> Path:
        """Return the path of a file that belongs to a kernelspec, inside its directory for sure."""
        ...


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that health depends on: its name, whether it is well, and why not (or what is known)."""

    name: str
    ok: bool
    message: str = ""


class HealthView(Protocol):
    """What the replica knows of its own health, without asking anybody: probes must cost nothing."""

    def alive(self) -> Sequence[Check]:
        """Say whether beats are still attempted. An outage of the database changes nothing here."""
        ...

    def ready(self) -> Sequence[Check]:
        """Say whether requests can be served: registered, database reachable, not draining."""
        ...


class Handovers(Protocol):
    """What other replicas may ask."""

    async def give(self, kernel_id: str, sealed: str) -> bytes:
        """End the connection that the sealed ask names, and return, sealed, what it has kept."""
        ...

    async def admit(self, kernel_id: str, sealed: str) -> bytes:
        """Say, sealed, whether a silent connection may succeed the one that the sealed ask names."""
        ...

    async def supersede(self, kernel_id: str, sealed: str) -> bytes:
        """Tell the connection that the sealed ask names of its successor; say, sealed, whether it gave way."""
        ...


@dataclass(frozen=True, kw_only=True)
class GatewayServices:
    """All that handlers use; the application builds it once."""

    kernels: Kernels
    sessions: Sessions
    specs: Specs
    health: HealthView
    auth: TokenAuth
    options: HandlerOptions
    authorizer: Authorizer = field(default_factory=AllowAll)
    users: UserPolicy = field(default_factory=UserPolicy)
    handovers: Handovers | None = None
