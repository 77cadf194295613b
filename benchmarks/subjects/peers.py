"""The peers: Jupyter Server, and Enterprise Gateway as it is known.

Their kernels are run by the same interpreter as ours, so that what differs is the gateway.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.process import children
from benchmarks.subjects.launching import launched
from benchmarks.subjects.subject import Gateway, Missing
from benchmarks.subjects.venvs import python_with
from tests.cluster.jupyter_servers import clean_env
from tests.cluster.processes import ServerProcess, free_port

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class JupyterServer:
    """Jupyter Server, without its limit of 1,000 messages a second: beyond it, it would drop what is to be measured."""

    name = "jupyter_server"
    requirement = "jupyter_server==2.21.1"

    @contextmanager
    def run(self) -> Iterator[Gateway]:
        """Start it, in its own environment."""
        token = secrets.token_hex(16)
        options = [f"--IdentityProvider.token={token}", "--ZMQChannelsWebsocketConnection.limit_rate=False"]
        options += ["--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
        command = [str(python_with(self.requirement)), "-m", "jupyter_server", *options]
        with _served(self.name, command, {}, end=ServerProcess.stop) as (server, seconds):
            yield Gateway(server.url, server.pid, token, seconds, self.run)


class EnterpriseGateway:
    """Enterprise Gateway 3.3.0, with local kernels.

    It signals by /bin/kill, which in procps 4.0.2 takes a process group for every process of the machine: it is run
    only where it can have a PID namespace of its own.
    """

    name = "enterprise_gateway"
    requirement = "jupyter_enterprise_gateway==3.3.0"

    @contextmanager
    def run(self) -> Iterator[Gateway]:
        """Start it, in its own environment and PID namespace."""
        if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0:
            raise Missing(f"{self.requirement} is run in a PID namespace of its own only, which needs root")
        token = secrets.token_hex(16)
        python = python_with(self.requirement)
        command = [*NAMESPACE, str(python), "-m", "enterprise_gateway", "--EnterpriseGatewayApp.port_retries=0"]
        # unshare does not pass SIGTERM on; with it everything in its namespace is killed.
        with _served(self.name, command, {"EG_AUTH_TOKEN": token}, end=ServerProcess.kill) as (server, seconds):
            (pid,) = children(server.pid)
            yield Gateway(server.url, pid, token, seconds, self.run)


@contextmanager
def _served(
    name: str, command: list[str], env: Mapping[str, str], *, end: Callable[[ServerProcess], object]
) -> Iterator[tuple[ServerProcess, float]]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        _offer_kernel(folder / "data")
        port = free_port()
        told = clean_env(folder, **env)
        server, seconds = launched(lambda: ServerProcess(name, [*command, f"--port={port}"], told, port, folder))
        try:
            yield server, seconds
        finally:
            end(server)


def _offer_kernel(data: Path) -> None:
    folder = data / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
