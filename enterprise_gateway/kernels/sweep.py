"""The sweep of one's own host: what kernels have left there is ended and removed.

What is guaranteed: nothing goes that belongs to a living generation of a kernel, to one that is being launched, or to
another deployment. Not: that it goes at once. The act that ends a kernel is given the time for it first, so that it can
ask before anybody kills.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from logging import Logger, LoggerAdapter
from typing import Any

from enterprise_gateway.kernels.leftovers import left_over
from enterprise_gateway.provisioners.census import Census, Found, KernelsProcess, take_census
from enterprise_gateway.provisioners.local import LocalSettings
from persistence import clock
from persistence.documents import KernelNotice


class Sweep:
    """Sweeps this replica's host now and then.

    Args:
        local: The host, and where its kernels have their directories.
        deployment_id: Whose kernels these are.
        interval_seconds: Between two looks at the host.
        grace_seconds: How long an act may take to end what it has to end.
        log: Gets a line for each thing that is swept.
        now: A monotonic clock, for tests.
    """

    def __init__(
        self,
        *,
        local: LocalSettings,
        deployment_id: str,
        interval_seconds: float,
        grace_seconds: float,
        log: Logger | LoggerAdapter[Any],
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._local = local
        self._deployment_id = deployment_id
        self._interval_seconds = interval_seconds
        self._grace_seconds = grace_seconds
        self._log = log
        self._now = now
        self._taken_at: float | None = None
        self._left_since: dict[Found, float] = {}

    async def census(self) -> Census | None:
        """List what there is on this host; None while it is not time for it yet, or where it can't be listed now."""
        now = self._now()
        if self._taken_at is not None and now - self._taken_at < self._interval_seconds:
            return None
        self._taken_at = now
        try:
            return await asyncio.to_thread(take_census, self._deployment_id, self._local.directories)
        except OSError as error:  # no descriptor is left, say
            self._log.warning("What kernels have left on this host can't be listed now: %s", error)
            return None

    async def clear(self, census: Census, notices: Iterable[KernelNotice]) -> None:
        """End and remove what has been left over for longer than the grace.

        Args:
            census: Taken before `notices` were asked for.
            notices: What the records surely say of all that is in the census.
        """
        reasons = left_over(census, {notice.kernel_id: notice for notice in notices}, self._local.host)
        now = self._now()
        self._left_since = {found: self._left_since.get(found, now) for found in reasons}
        for found, since in self._left_since.items():
            if now - since >= self._grace_seconds and await asyncio.to_thread(self._remove, found):
                self._log.warning(
                    "Swept %s of kernel %s, generation %s: %s",
                    found,
                    found.kernel_id,
                    found.generation,
                    reasons[found],
                )

    def _remove(self, found: Found) -> bool:
        try:
            if isinstance(found, KernelsProcess):
                return found.kill()
            self._local.directories.remove(found.kernel_id, found.generation)
        except OSError as error:
            self._log.warning("What kernel %s has left can't be removed: %s", found.kernel_id, error)
            return False
        return True
