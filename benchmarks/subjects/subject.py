"""What every subject can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

from benchmarks.clients.channels import Channels, Request
from benchmarks.clients.rest import Rest
from benchmarks.clients.websocket import WebSocketChannels

USER = "bench"
LAUNCH_SECONDS = "60"
"""How long each user lets a gateway try: the same everywhere, whatever a gateway's own patience is."""


class Missing(Exception):
    """A subject can't be had on this machine; the message says why."""


class Running(Protocol):
    """A subject that runs."""

    @property
    def pid(self) -> int | None:
        """Whose cost is counted; None where nothing is between the client and the kernel."""
        ...

    def rest(self) -> AbstractContextManager[Rest]:
        """Connect to its REST API, or where it has none to a server that does nothing."""
        ...

    def start_kernel(self, user: str = USER) -> str:
        """Start a kernel for a user and return its id."""
        ...

    def end_kernel(self, kernel_id: str) -> None:
        """End a kernel."""
        ...

    def open(self, kernel_id: str) -> Channels:
        """Connect to a kernel's channels."""
        ...


class Subject(Protocol):
    """One that is measured; it does not run yet.

    Attributes:
        name: What the table calls it.
    """

    name: str

    def run(self) -> AbstractContextManager[Running]:
        """Start it, and end it with the context.

        Raises:
            Missing: It can't be had.
        """
        ...


@dataclass(frozen=True)
class Gateway:
    """A server of Jupyter's kernel API that runs.

    Attributes:
        url: Where it listens.
        pid: Its process.
        token: What it asks clients for.
        start_seconds: From its exec to its first answer.
        another: Starts one more of its kind; ours is a replica on the same database.
        database: The URI of the MongoDB that it is on, if it is on one.
    """

    url: str
    pid: int
    token: str
    start_seconds: float
    another: Callable[[], AbstractContextManager[Gateway]]
    database: str | None = None

    def rest(self) -> AbstractContextManager[Rest]:
        """Connect to its REST API."""
        return closing(Rest(self.url, self.token))

    def start_kernel(self, user: str = USER, name: str = "python3") -> str:
        """Start a kernel and return its id."""
        env = {"KERNEL_USERNAME": user, "KERNEL_LAUNCH_TIMEOUT": LAUNCH_SECONDS}
        body = {"name": name, "env": env}
        with self.rest() as rest:
            return str(rest.request("POST", "/api/kernels", body)["id"])

    def end_kernel(self, kernel_id: str) -> None:
        """End a kernel."""
        with self.rest() as rest:
            rest.request("DELETE", f"/api/kernels/{kernel_id}")

    def open(self, kernel_id: str, session_id: str | None = None) -> Channels:
        """Connect to a kernel's channels; with a session's id as the client that had it before."""
        return WebSocketChannels(self.url, kernel_id, self.token, session_id)


@contextmanager
def warm_kernel(subject: Running) -> Iterator[Channels]:
    """Start a kernel, connect to it, and have it run a first cell."""
    kernel_id = subject.start_kernel()
    try:
        channels = subject.open(kernel_id)
        try:
            Request(channels, "pass").finish()
            yield channels
        finally:
            channels.close()
    finally:
        subject.end_kernel(kernel_id)
