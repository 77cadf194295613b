"""Which kernels may run, how many, with which environment, and how long their launch may take."""

from __future__ import annotations

import os

from traitlets import Bool, Float, HasTraits, Integer, Unicode, default

from enterprise_gateway.config.words import Words


class KernelTraits(HasTraits):
    """Settings of kernels: limits, environment, launch, files."""

    max_kernels = Integer(
        None,
        min=0,
        allow_none=True,
        config=True,
        help="Number of kernels that may live at once on all replicas together, waiting ones included; the next start "
        "gets 403. Unset means no limit. Enforced by the database, so it must be the same on every replica.",
    )
    max_kernels_per_user = Integer(
        -1,
        min=-1,
        config=True,
        help="Number of kernels that one user (`KERNEL_USERNAME`) may have at once on all replicas together; the next "
        "start gets 403. -1 means no limit.",
    )
    list_kernels = Bool(
        True,
        config=True,
        help="Whether `GET /api/kernels` and `GET /api/sessions` list what runs; turned off they answer 403. On by "
        "default, where EG has it off, since Jupyter's own clients rely on it.",
    )
    allowed_kernelspecs = Words(
        config=True,
        help="Names of the kernelspecs that are offered and may be started, comma-separated. Empty offers all that are "
        "installed.",
    )
    default_kernel_name = Unicode(
        "python3",
        config=True,
        help="Kernelspec to start when a request names none.",
    )
    client_envs = Words(
        config=True,
        help="Names of variables that a client may set for its kernel by `env` in the request, comma-separated; "
        "`KERNEL_*` ones always may be. `*` allows all. Others are left out without an error.",
    )
    inherited_envs = Words(
        ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"),
        config=True,
        help="Names of the gateway's own variables that kernels get, comma-separated. Nothing else of the gateway's "
        "environment reaches a kernel, so none that holds a secret belongs here.",
    )
    mirror_working_dirs = Bool(
        None,
        allow_none=True,
        config=True,
        help="Whether a kernel starts in the directory that the client names by `KERNEL_WORKING_DIR`, where it exists "
        "here; else in the home directory. Unset means yes with the embedded database (a gateway of one machine) and "
        "no with a shared one.",
    )
    kernel_launch_timeout = Float(
        30.0,
        min=1.0,
        config=True,
        help="Seconds that a start may take, from the arrival of the request, its wait for other starts included; "
        "then 504, and the launch is stopped. A request's own `KERNEL_LAUNCH_TIMEOUT` comes first. Jupyter's "
        "client gives up after 42.",
    )
    max_concurrent_launches = Integer(
        min=1,
        config=True,
        help="Number of starts that this replica works on at once; the rest wait, fairly between users. More of "
        "them than the machine has processors make each slower without making the last one faster. As many local "
        "kernels are asked to end at once; none holds up the next for longer than a tenth of a second, nor waits for "
        "longer than a second.",
    ).tag(default_text="twice the processors, at least 4")
    answer_before_ready = Bool(
        False,
        config=True,
        help="Whether a POST is answered when the kernel's process runs, before the kernel has answered. Faster for "
        "the client, who then learns only on the WebSocket that a kernel does not come up.",
    )
    autorestart = Bool(
        True,
        config=True,
        help="Whether a kernel that died by itself is restarted, its id and its clients' WebSockets kept and its "
        "variables lost; turned off it is ended, with its reason.",
    )
    restart_limit = Integer(
        5,
        min=0,
        config=True,
        help="Number of automatic restarts in a row after which a kernel that dies again is ended; 0 restarts none. "
        "A kernel that has lived 10 seconds starts the count anew, and so does a restart that is asked for.",
    )
    shutdown_wait_time = Float(
        5.0,
        min=0.0,
        config=True,
        help="Seconds that a kernel may take to end after it was asked to; then it is killed.",
    )
    kernel_log_max_bytes = Integer(
        1024 * 1024,
        min=4096,
        config=True,
        help="Bytes that the file with a local kernel's own output (what it writes to its stdout and stderr) may "
        "grow to; past it the tail is kept aside and the file begins anew. A kernel has two such files at most.",
    )
    kernel_runtime_dir = Unicode(
        "",
        config=True,
        help="Directory for local kernels' connection files, sockets and logs, mode 0700. Short: a Unix socket's path "
        "has at most 107 bytes, which is checked at start. Must outlive the gateway, as kernels do. Empty means "
        "`$XDG_RUNTIME_DIR/enterprise-gateway` where that variable names a directory, else "
        "`/tmp/enterprise-gateway-<user id>`. Each deployment has a directory of its own below it.",
    )
    ipc_kernelspecs = Words(
        config=True,
        help="Names of kernelspecs, beside those of ipykernel, whose kernels can listen on Unix sockets (`transport: "
        "ipc`), comma-separated. Local kernels that can do so need no ports, so none can collide; others use TCP with "
        "encryption where they support it.",
    )

    @default("max_concurrent_launches")
    def _twice_the_processors(self) -> int:
        return max(4, 2 * (os.cpu_count() or 1))
