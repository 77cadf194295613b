"""Forgets the sessions of kernels that were ended by this replica.

Only tidying: a session whose kernel is gone does not count, and is deleted by whoever meets it. What a replica that is
killed leaves behind stays until then.
"""

from __future__ import annotations

from enterprise_gateway.kernels.waiting import until_answered
from enterprise_gateway.lifecycle import Background
from persistence import clock
from persistence.documents import KernelRecord, Step
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase

GATHER_SECONDS = 0.5
"""Of all kernels that end in that time it is asked at once, and not in the way of their ends."""


class SessionTidying:
    """Deletes sessions after their kernels."""

    def __init__(self, store: KernelSessionManager, background: Background) -> None:
        self._store = store
        self._background = background
        self._ended: set[str] = set()

    def made(self, step: Step, after: KernelRecord) -> None:
        """A step was made; `after` is the record as it has left it."""
        if after.phase != Phase.ENDED.value:
            return
        if not self._ended:
            self._background.once("sessions of ended kernels", self._tidy())
        self._ended.add(after.kernel_id)

    async def _tidy(self) -> None:
        await clock.sleep(GATHER_SECONDS)
        ended, self._ended = self._ended, set()
        await until_answered(lambda: self._forget(ended))

    async def _forget(self, ended: set[str]) -> None:
        for kernel_id in await self._store.sessions.having_any(ended):  # few have any
            # Its user may have started it anew by its id meanwhile: then its sessions count again.
            record = await self._store.kernels.get_surely(kernel_id)
            if record is None or not record.live:
                await self._store.sessions.delete_for_kernel(kernel_id)
