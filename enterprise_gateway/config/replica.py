"""How a replica stands with the others: how often it shows that it lives, when it is held for dead, how it leaves."""

from __future__ import annotations

from traitlets import CaselessStrEnum, Float, HasTraits, Unicode

RELATION = (
    "It must hold that `KernelSessionManager.operation_timeout` < `renew_deadline` < `lease_duration` and that "
    "`renew_interval`, with its jitter, is below `renew_deadline`; else the gateway does not start."
)


class ReplicaTraits(HasTraits):
    """Settings of membership and of the replica's end. All replicas of one database should have the same ones."""

    lease_duration = Float(
        15.0,
        min=0.5,
        config=True,
        help="Seconds without a sign of life after which another replica is held for dead, and its duties pass on. "
        f"Shorter notices a death sooner, and takes a slow database or a busy machine for one. {RELATION}",
    )
    renew_interval = Float(
        5.0,
        min=0.1,
        config=True,
        help="Seconds between two beats of this replica: writes that show that it lives. What another replica did to a "
        f"kernel is noticed within two, at once where the database has change streams. {RELATION}",
    )
    renew_deadline = Float(
        10.0,
        min=0.2,
        config=True,
        help=f"Seconds after the last acknowledged renewal at which a replica stops to lead by itself. {RELATION}",
    )
    renew_jitter = Float(
        0.1,
        min=0.0,
        max=0.5,
        config=True,
        help="Fraction of `renew_interval` by which a beat may come later, at random, so that many replicas do not "
        "write in step.",
    )
    lost_host_timeout = Float(
        86_400.0,
        min=1.0,
        config=True,
        help="Seconds that a host may be without a live replica before the kernels that only it could reach are given "
        "up: their records are ended, and their places free. If the host returns, its sweep ends what still runs. "
        "Shorter frees the places sooner, and gives up kernels of a machine that only was away for long.",
    )
    flush_interval = Float(
        5.0,
        min=0.1,
        config=True,
        help="Seconds between two writes of the kernels' activity, all in one batch. After a crash, activity of at "
        "most this long is unknown. Kernels that turn busy or idle are written within half a second.",
    )
    on_exit = CaselessStrEnum(
        ["leave", "stop"],
        default_value="leave",
        config=True,
        help="What a replica does with its kernels when it stops: `leave` keeps them running for the other replicas or "
        "for the next start; `stop` ends those it owns, as suits a single user's gateway.",
    )
    drain_timeout = Float(
        30.0,
        min=0.0,
        config=True,
        help="Seconds that a stopping replica may take to finish launches and to keep what kernels send for clients "
        "that are on their way to another one. Its last steps need a moment more, at most 30 s. Give the supervisor "
        "both (systemd: `TimeoutStopSec`, a pod: its grace period).",
    )
    advertised_url = Unicode(
        "",
        config=True,
        help="URL under which the other replicas reach this one directly, not through the balancer, such as "
        "`http://10.0.0.7:8888`. Empty means the address and port it listens on, with the host's name in place of "
        "a wildcard address.",
    )
