"""From the settings to the rules of culling."""

from __future__ import annotations

from collections.abc import Iterable

from culling.policy import Bounds, CullRules
from enterprise_gateway.config.culling import CullingTraits
from persistence.errors import ConfigurationError


def cull_rules(settings: CullingTraits) -> CullRules:
    """Return the rules.

    Raises:
        ConfigurationError: One can't be understood; the message says which.
    """
    least, most = settings.cull_own_timeout_min, settings.cull_own_timeout_max
    if least > most:
        raise ConfigurationError(f"cull_own_timeout_min ({least:g} s) is above cull_own_timeout_max ({most:g} s).")
    return CullRules(
        idle_timeout_seconds=settings.cull_idle_timeout,
        max_lifetime_seconds=settings.cull_max_lifetime,
        connected=settings.cull_connected,
        busy=settings.cull_busy,
        by_kernelspec=_seconds_by_name("cull_idle_timeout_by_kernelspec", settings.cull_idle_timeout_by_kernelspec),
        by_user=_seconds_by_name("cull_idle_timeout_by_user", settings.cull_idle_timeout_by_user),
        own=Bounds(least_seconds=least, most_seconds=most) if settings.cull_own_timeout else None,
        interval_seconds=settings.cull_interval,
        dry_run=settings.cull_dry_run,
    )


def _seconds_by_name(trait: str, words: Iterable[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            seconds = float(number)
        except ValueError:
            seconds = -1.0
        if not name.strip() or not 0 <= seconds < float("inf"):
            raise ConfigurationError(f"{trait} must be made of name=seconds, with seconds from 0 on, not {word!r}.")
        found[name.strip()] = seconds
    return found
