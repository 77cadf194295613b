"""From the settings to the times of membership, which know by themselves what fits together."""

from __future__ import annotations

from culling.timings import MembershipTimings
from enterprise_gateway.config.replica import ReplicaTraits


def membership_timings(settings: ReplicaTraits, *, operation_timeout_seconds: float) -> MembershipTimings:
    """Return the times of beats and leases.

    Raises:
        ConfigurationError: They don't fit together; the message says which two, and why that can't work.
    """
    return MembershipTimings(
        lease_duration_seconds=settings.lease_duration,
        renew_interval_seconds=settings.renew_interval,
        renew_deadline_seconds=settings.renew_deadline,
        jitter=settings.renew_jitter,
        operation_timeout_seconds=operation_timeout_seconds,
    )
