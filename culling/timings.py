"""How often a replica beats, and how long it takes until others may hold it for dead."""

from __future__ import annotations

from dataclasses import dataclass

from persistence.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class MembershipTimings:
    """Times of membership. All replicas of one database should have the same ones.

    Raises:
        ConfigurationError: They don't fit together; the text says which two, and why that can't work.
    """

    lease_duration_seconds: float = 15.0
    """A beat that was not seen to change for so long is a death that may be declared."""
    renew_interval_seconds: float = 5.0
    """From the end of one beat to the next."""
    renew_deadline_seconds: float = 10.0
    """A right that rests on a beat or a renewal ends so long after it was sent."""
    jitter: float = 0.1
    """Fraction of the interval by which a beat may come later, at random, so that replicas don't write in step."""
    operation_timeout_seconds: float = 5.0
    """What one operation of the database is bounded by."""

    def __post_init__(self) -> None:
        """Refuse what can't work."""
        for problem in self._problems():
            raise ConfigurationError(problem)

    @property
    def longest_interval_seconds(self) -> float:
        """The interval with all of its jitter."""
        return self.renew_interval_seconds * (1 + self.jitter)

    def _problems(self) -> list[str]:
        operation = f"the operation timeout (EG_OPERATION_TIMEOUT, {self.operation_timeout_seconds:g} s)"
        interval = f"the renew interval with its jitter (EG_RENEW_INTERVAL, {self.longest_interval_seconds:g} s)"
        deadline = f"the renew deadline (EG_RENEW_DEADLINE, {self.renew_deadline_seconds:g} s)"
        lease = f"the lease duration (EG_LEASE_DURATION, {self.lease_duration_seconds:g} s)"
        rules = (
            (
                min(self.renew_interval_seconds, self.operation_timeout_seconds) > 0 and self.jitter >= 0,
                "renew interval and operation timeout must be above 0 s, and the jitter not below 0",
            ),
            (
                self.operation_timeout_seconds < self.renew_deadline_seconds,
                f"{operation} must be shorter than {deadline}: "
                "else a right ends before it is known whether it was renewed",
            ),
            (
                self.renew_deadline_seconds < self.lease_duration_seconds,
                f"{deadline} must be shorter than {lease}: else another takes over before the former one has stopped",
            ),
            (
                self.longest_interval_seconds < self.renew_deadline_seconds,
                f"{interval} must be shorter than {deadline}: else a right ends before its renewal is due",
            ),
        )
        return [problem for holds, problem in rules if not holds]
