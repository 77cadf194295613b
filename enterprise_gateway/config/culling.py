"""Which kernels are ended because nobody uses them, and when."""

from __future__ import annotations

from traitlets import Bool, Float, HasTraits

from enterprise_gateway.config.words import Words

LEADER = "All replicas should have the same value; the elected leader's holds."


class CullingTraits(HasTraits):
    """Settings of culling. The leader's hold."""

    cull_idle_timeout = Float(
        0.0,
        min=0.0,
        config=True,
        help="Seconds after which a kernel that nobody used is ended (culled): nothing came from it, and no client "
        f"sent anything. 0 ends none. {LEADER}",
    )
    cull_interval = Float(
        300.0,
        min=0.1,
        config=True,
        help="Seconds between two looks at which kernels are to be culled. Shorter ends them sooner after their "
        "timeout; a look costs one query that reads only those that were not used for long.",
    )
    cull_connected = Bool(
        False,
        config=True,
        help="Whether kernels with open WebSockets are culled too, when they were idle for long. JupyterLab keeps one "
        "open as long as a notebook is.",
    )
    cull_busy = Bool(
        False,
        config=True,
        help="Whether kernels that run a cell are culled too, when nothing came from them for `cull_idle_timeout`.",
    )
    cull_idle_timeout_by_kernelspec = Words(
        config=True,
        help="Kernelspecs with another `cull_idle_timeout`, as `name=seconds`, comma-separated. 0 ends none of them.",
    )
    cull_idle_timeout_by_user = Words(
        config=True,
        help="Users (`KERNEL_USERNAME`) with another `cull_idle_timeout`, as `name=seconds`, comma-separated; comes "
        "before that of the kernelspec. 0 ends none of theirs.",
    )
    cull_own_timeout = Bool(
        False,
        config=True,
        help="Whether a request may say by `KERNEL_CULL_IDLE_TIMEOUT` (in seconds) how long its kernel may be idle, "
        "between `cull_own_timeout_min` and `cull_own_timeout_max`; it comes before all others.",
    )
    cull_own_timeout_min = Float(
        60.0,
        min=0.1,
        config=True,
        help="Seconds that a request may ask for its kernel at least; less counts as this.",
    )
    cull_own_timeout_max = Float(
        86_400.0,
        min=0.1,
        config=True,
        help="Seconds that a request may ask for its kernel at most; more counts as this.",
    )
    cull_max_lifetime = Float(
        0.0,
        min=0.0,
        config=True,
        help="Seconds after its creation at which a kernel is ended whatever it does, connected and busy ones too. "
        "0 lets kernels live as long as they are used.",
    )
    cull_dry_run = Bool(
        False,
        config=True,
        help="Whether the leader only logs which kernels it would cull, and ends none. To try settings.",
    )
