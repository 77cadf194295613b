"""Which kernels are culled, and why. Pure: what is known of a kernel, the time and the rules; nothing else decides.

A kernel is culled for its age, or for having been idle for longer than its timeout: nothing came from it, nor from its
clients. It is kept where what is needed to say so is not known: its owner has not asked it yet, or it has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from persistence.documents import ClockStep, KernelCandidate, connection_count
from persistence.steps import IDLE, UNKNOWN

NEVER = 0.0
"""As a timeout or a lifetime: no kernel is culled for it."""


class Why(StrEnum):
    """Why a kernel is culled or kept."""

    TOO_OLD = "too old"
    IDLE = "idle"
    ACTIVE = "active"
    CONNECTED = "connected"
    BUSY = "busy"
    UNASKED = "not asked yet"
    UNOWNED = "without a live owner"
    FOR_EVER = "without a timeout"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Between what a kernel's own wish must be; it counts as the nearer of the two where it is not."""

    least_seconds: float
    most_seconds: float


@dataclass(frozen=True, kw_only=True)
class CullRules:
    """The settings of culling."""

    idle_timeout_seconds: float = NEVER
    max_lifetime_seconds: float = NEVER
    connected: bool = False
    """Cull kernels with open WebSockets as well."""
    busy: bool = False
    """Cull kernels that are at work as well."""
    by_kernelspec: Mapping[str, float] = field(default_factory=dict)
    """Timeouts in seconds, over the common one."""
    by_user: Mapping[str, float] = field(default_factory=dict)
    """Timeouts in seconds, over those of kernelspecs."""
    own: Bounds | None = None
    """What a request may ask for its kernel, over all others; None: nothing."""
    interval_seconds: float = 300.0
    dry_run: bool = False
    """Only tell what would be culled."""

    @property
    def shortest_timeout_seconds(self) -> float | None:
        """The shortest that any kernel can have; None: no kernel has one."""
        timeouts = [self.idle_timeout_seconds, *self.by_kernelspec.values(), *self.by_user.values()]
        if self.own is not None:
            timeouts.append(self.own.least_seconds)
        return min((timeout for timeout in timeouts if timeout > NEVER), default=None)

    @property
    def digest(self) -> str:
        """The same for the same rules, in whatever order they were written."""
        told = (
            self.idle_timeout_seconds,
            self.max_lifetime_seconds,
            self.connected,
            self.busy,
            sorted(self.by_kernelspec.items()),
            sorted(self.by_user.items()),
            self.own,
            self.interval_seconds,
            self.dry_run,
        )
        return sha256(repr(told).encode()).hexdigest()[:12]

    def timeout_seconds(self, kernel: KernelCandidate) -> float:
        """How long this kernel may be idle: its own wish, else its user's, its kernelspec's, the common one."""
        wish = kernel.cull_idle_timeout_seconds
        if wish is not None and self.own is not None:
            return min(max(wish, self.own.least_seconds), self.own.most_seconds)
        by_kernelspec = self.by_kernelspec.get(kernel.kernel_name, self.idle_timeout_seconds)
        return self.by_user.get(kernel.username, by_kernelspec)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be done with a kernel."""

    cull: bool
    why: Why
    idle_seconds: float
    reason: str = ""
    """In words, for the record, where it is culled."""


def judge(
    kernel: KernelCandidate,
    now: datetime,
    rules: CullRules,
    *,
    live: Collection[str],
    clock_steps: Sequence[ClockStep] = (),
) -> Verdict:
    """Say whether a running kernel is to be culled.

    Args:
        kernel: As it was read.
        now: The earliest that now can be.
        rules: The settings.
        live: The replicas that are not dead, read *after* the kernel: others' connections and ownerships don't count.
        clock_steps: How the database's clock has jumped.
    """
    idle = (now - kernel.last_activity).total_seconds()
    age = (now - kernel.created_at).total_seconds()
    lifetime, timeout = rules.max_lifetime_seconds, rules.timeout_seconds(kernel)
    if lifetime > NEVER and age > lifetime + _extension(lifetime, now, clock_steps):
        reason = f"culled: it is {age:.0f} s old, and may be {lifetime:g}"
        return Verdict(cull=True, why=Why.TOO_OLD, idle_seconds=idle, reason=reason)
    kept = _why_kept(kernel, idle, timeout + _extension(timeout, now, clock_steps), rules, live)
    if timeout == NEVER or kept is not None:
        return Verdict(cull=False, why=kept or Why.FOR_EVER, idle_seconds=idle)
    reason = f"culled: it was idle for {idle:.0f} s, and may be for {timeout:g}"
    return Verdict(cull=True, why=Why.IDLE, idle_seconds=idle, reason=reason)


def _why_kept(
    kernel: KernelCandidate, idle: float, timeout: float, rules: CullRules, live: Collection[str]
) -> Why | None:
    gone = [replica for replica in kernel.connections if replica not in live]
    reasons = (
        (idle <= timeout, Why.ACTIVE),
        (kernel.owner not in live, Why.UNOWNED),
        (kernel.execution_state == UNKNOWN, Why.UNASKED),
        (not rules.connected and connection_count(kernel, gone) > 0, Why.CONNECTED),
        (not rules.busy and kernel.execution_state != IDLE, Why.BUSY),
    )
    return next((why for holds, why in reasons if holds), None)


def _extension(timeout_seconds: float, now: datetime, clock_steps: Sequence[ClockStep]) -> float:
    """What is added while times from before a jump of the clock may still decide: they look older by that jump.

    So does an earlier jump itself, by those after it.
    """
    since, added = now - timedelta(seconds=timeout_seconds), 0.0
    for step in reversed(clock_steps):
        if step.seconds > 0 and step.at >= since:
            added += step.seconds
            since -= timedelta(seconds=step.seconds)
    return added
