"""Jupyter's own servers, as users run them in front of a gateway."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.processes import ServerProcess, free_port


def clean_env(folder: Path, **more: str) -> dict[str, str]:
    """An environment that owes nothing to the machine's user: his home, settings and runtime files stay untouched."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        **more,
    }


def start_jupyter(
    kind: str,
    folder: Path,
    *,
    gateway_url: str | None,
    gateway_token: str = "",
    token: str = "",
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> ServerProcess:
    """Start `jupyter server` or `jupyter lab` on the notebooks in `folder` and wait until it answers.

    Args:
        kind: "server" or "lab".
        folder: Its root directory, home and settings.
        gateway_url: The gateway its kernels run on; None runs them itself.
        gateway_token: What it shows the gateway.
        token: What its own clients show; without one, it takes a POST from pages of its own only.
        options: More command line options.
        env: More environment; `KERNEL_*` names are what it sends along with each start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "jupyter", kind, "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    command += [f"--gateway-url={gateway_url}"] if gateway_url else []
    secret = {"JUPYTER_GATEWAY_AUTH_TOKEN": gateway_token} if gateway_token else {}
    process = ServerProcess(
        f"jupyter-{kind}", [*command, *options], clean_env(folder, **secret, **(env or {})), port, folder
    )
    try:
        process.wait_until_ready("/api")
    except BaseException:
        process.kill()
        raise
    return process
