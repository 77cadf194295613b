"""What the configuration says about kernels, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enterprise_gateway.kernels.ending import KILL_SECONDS, TERMINATE_SECONDS
from enterprise_gateway.kernels.slots import Limits
from enterprise_gateway.relay.first_cell import FirstCell


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """Settings of the kernels service.

    Attributes:
        limits: How many kernels may live at once.
        launch_timeout_seconds: How long a start may take, waiting included, unless the request says otherwise.
        autorestart: Is a kernel that died by itself restarted?
        restart_limit: How many times in a row at most.
        shutdown_wait_seconds: How long a kernel may take to end when asked.
        first_cell: What an ipykernel is asked to do when it has started.
        max_concurrent_launches: How many launches are at work in this replica at once.
        answer_before_ready: Is a POST answered before the kernel has answered?
        client_envs: Names that a request's env may set beside `KERNEL_*`; `*` for all.
        inherited: Those of the gateway's own variables that a kernel gets.
        home: The home directory of the gateway's user.
        mirror_working_dirs: May a request name its kernel's working directory?
        own_cull_timeout: May a request say how long its kernel may be idle?
        silent_seconds: After so long a silence a kernel is asked whether it is busy.
    """

    limits: Limits = field(default_factory=Limits)
    launch_timeout_seconds: float = 30.0
    autorestart: bool = True
    restart_limit: int = 5
    shutdown_wait_seconds: float = 5.0
    first_cell: FirstCell = field(default_factory=FirstCell)
    max_concurrent_launches: int = 4
    answer_before_ready: bool = False
    client_envs: Sequence[str] = ()
    inherited: Mapping[str, str] = field(default_factory=dict, repr=False)
    home: str = "/"
    mirror_working_dirs: bool = False
    own_cull_timeout: bool = False
    silent_seconds: float = 60.0

    @property
    def stop_limit_seconds(self) -> float:
        """How long a stop may be at work before another takes it over."""
        return 2 * self.end_seconds

    @property
    def end_seconds(self) -> float:
        """How long it takes at most to end a kernel: the wait, and the killing."""
        return self.shutdown_wait_seconds + TERMINATE_SECONDS + KILL_SECONDS
