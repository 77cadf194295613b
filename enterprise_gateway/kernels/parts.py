"""What the acts and the service of kernels share, built once by the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from logging import Logger, LoggerAdapter
from typing import Any

from culling.membership import Membership
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.held import HeldKernels
from enterprise_gateway.kernels.managers import Managers
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.waiting import Changes
from enterprise_gateway.kernels.work import WorkAtHand
from enterprise_gateway.lifecycle import Background
from persistence.kernel_session_manager import KernelSessionManager


@dataclass(frozen=True, kw_only=True)
class KernelParts:
    """The collaborators of one replica."""

    store: KernelSessionManager
    membership: Membership
    acts: Acts
    managers: Managers
    admission: Admission
    settings: KernelSettings
    background: Background
    log: Logger | LoggerAdapter[Any]
    held: HeldKernels = field(default_factory=HeldKernels)
    work: WorkAtHand = field(default_factory=WorkAtHand)
    changes: Changes = field(default_factory=Changes)

    @property
    def load(self) -> int:
        """How many kernels this replica watches, or is at work on."""
        return len({held.kernel_id for held in self.held if held.owned}.union(self.work.kernel_ids))
