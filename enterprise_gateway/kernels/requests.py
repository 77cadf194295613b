"""What a client asks for when it starts a kernel, and by what a repeat of it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from enterprise_gateway.errors import bad_request

LAUNCH_TIMEOUT_ENV = "KERNEL_LAUNCH_TIMEOUT"
CULL_TIMEOUT_ENV = "KERNEL_CULL_IDLE_TIMEOUT"
KERNEL_ID_ENV = "KERNEL_ID"
MAX_LAUNCH_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """A request to start one kernel.

    Attributes:
        name: The kernelspec; None for the default one.
        path: The notebook's path as the client gave it, kept for its model only.
        env: The request's env, not yet filtered. May hold secrets: never in a repr.
        kernel_id: An id that the client chose, or None.
        idempotency_key: The `Idempotency-Key` header, or None.
        username: Whose kernel it is.
        arrived_boottime: When the request arrived, CLOCK_BOOTTIME seconds; its deadline counts from here.
    """

    name: str | None
    username: str
    arrived_boottime: float
    path: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    kernel_id: str | None = None
    idempotency_key: str | None = None

    @property
    def repeatable(self) -> bool:
        """Can the client come back for the same kernel? Then going away does not withdraw the launch."""
        return self.kernel_id is not None or self.idempotency_key is not None

    def __str__(self) -> str:
        kernel = f", kernel {self.kernel_id}" if self.kernel_id is not None else ""
        return f"user {self.username}, kernelspec {self.name or '(default)'}{kernel}"


def launch_timeout_seconds(env: Mapping[str, str], default_seconds: float) -> float:
    """Return the seconds a launch may take: the request's own `KERNEL_LAUNCH_TIMEOUT` within bounds, else the default.

    Raises:
        GatewayError: 400, it is no positive number.
    """
    seconds = _positive_seconds(env, LAUNCH_TIMEOUT_ENV)
    return default_seconds if seconds is None else min(seconds, MAX_LAUNCH_TIMEOUT_SECONDS)


def cull_timeout_seconds(env: Mapping[str, str]) -> float | None:
    """Return how long the kernel wishes to be idle: the request's `KERNEL_CULL_IDLE_TIMEOUT`; None: no wish.

    Raises:
        GatewayError: 400, it is no positive number.
    """
    return _positive_seconds(env, CULL_TIMEOUT_ENV)


def _positive_seconds(env: Mapping[str, str], name: str) -> float | None:
    text = env.get(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise bad_request(f"{name} must be a positive number of seconds, not {text[:40]!r}.")
    return seconds


def stable_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return what of a filtered env makes two requests different: all but what changes from try to try."""
    return {name: value for name, value in env.items() if name not in (LAUNCH_TIMEOUT_ENV, KERNEL_ID_ENV)}
