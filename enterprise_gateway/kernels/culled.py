"""Kernels that the leader culls: ended by the same act as those that a client deletes."""

from __future__ import annotations

from enterprise_gateway.kernels.ability import surely_ends
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.work import Work
from persistence.documents import KernelCandidate, KernelRecord


class CulledStops:
    """Ends what the culler has claimed for this replica."""

    def __init__(self, parts: KernelParts, acts: StopActs) -> None:
        self._parts = parts
        self._acts = acts

    def reaches(self, kernel: KernelCandidate) -> bool:
        """Say whether this replica can surely end the kernel, and is not about to leave; else its owner ends it."""
        return surely_ends(self._parts, kernel) and not self._parts.work.closed

    def stop_soon(self, claimed: KernelRecord) -> None:
        """Begin to end a kernel whose stop this replica has claimed."""
        task = self._parts.background.act(f"stop of culled kernel {claimed.kernel_id}", self._acts.stop(claimed))
        self._parts.work.add(Work(kernel_id=claimed.kernel_id, generation=claimed.generation), task)
