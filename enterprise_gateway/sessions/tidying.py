"""Forgets the sessions of kernels that were ended by this replica.

Only tidying: a session whose kernel is gone does not count, and is deleted by whoever meets it. What a replica that is
killed leaves behind stays until then.
"""

from __future__ import annotations

from enterprise_gateway.kernels.waiting import until_answered
from enterprise_gateway.lifecycle import Background
from persistence.documents import KernelRecord, Step
from persistence.kernel_session_manager import KernelSessionManager
from persistence.phases import Phase


class SessionTidying:
    """Deletes sessions after their kernels."""

    def __init__(self, store: KernelSessionManager, background: Background) -> None:
        self._store = store
        self._background = background

    def made(self, step: Step, after: KernelRecord) -> None:
        """A step was made; `after` is the record as it has left it."""
        if after.phase == Phase.ENDED.value:
            self._background.once(f"sessions of kernel {after.kernel_id}", self._tidy(after.kernel_id))

    async def _tidy(self, kernel_id: str) -> None:
        await until_answered(lambda: self._forget(kernel_id))

    async def _forget(self, kernel_id: str) -> None:
        if not await self._store.sessions.any_of_kernel(kernel_id):
            return  # as of most kernels: nothing else need be asked
        # Its user may have started it anew by its id meanwhile: then its sessions count again.
        record = await self._store.kernels.get_surely(kernel_id)
        if record is None or not record.live:
            await self._store.sessions.delete_for_kernel(kernel_id)
