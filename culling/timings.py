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
        rules = (
            (
                min(self.renew_interval_seconds, self.operation_timeout_seconds) > 0 and self.jitter >= 0,
                "renew interval and operation timeout must be above 0 s, and the jitter not below 0",
            ),
            (
                self.operation_timeout_seconds < self.renew_deadline_seconds,
                f"the operation timeout ({self.operation_timeout_seconds:g} s) must be shorter than the renew deadline "
                f"({self.renew_deadline_seconds:g} s): else a right ends before it is known whether it was renewed",
            ),
            (
                self.renew_deadline_seconds < self.lease_duration_seconds,
                f"the renew deadline ({self.renew_deadline_seconds:g} s) must be shorter than the lease duration "
                f"({self.lease_duration_seconds:g} s): else another takes over before the former holder has stopped",
            ),
            (
                self.longest_interval_seconds < self.renew_deadline_seconds,
                f"the renew interval with its jitter ({self.longest_interval_seconds:g} s) must be shorter than the "
                f"renew deadline ({self.renew_deadline_seconds:g} s): else a right ends before its renewal is due",
            ),
        )
        return [problem for holds, problem in rules if not holds]
