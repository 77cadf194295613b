"""Three replicas on one embedded database behind nginx, to try failover by hand: `make cluster`.

nginx balances round robin, request by request and WebSocket by WebSocket, without sticky sessions: each click may meet
another replica. Kill one (its process id is printed) and work on: it is started again after some seconds. The database
is in `.cluster`, apart from the one that `make run` has. Ctrl-C ends the kernels and stops all; with
`make cluster ARGS=--keep-kernels` they keep running, as they do when a gateway stops, for the next `make cluster`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")

HOST = "127.0.0.1"
FOLDER = Path(__file__).resolve().parents[1] / ".cluster"
READY_SECONDS = 60.0
STOP_SECONDS = 45.0  # more than a replica's drain_timeout
RESTART_SECONDS = 5.0  # long enough to see that the others do without it

NGINX_CONF = """\
{user}daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;

    # Round robin. A replica that is away refuses connections at once, and nginx asks the next one. It must not be left
    # out for a while on top of it (max_fails): when the next one is restarted soon after, nobody would be left.
    upstream replicas {{
{servers}
    }}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ''      '';
    }}
    server {{
        listen {host}:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_connect_timeout 2s;
            # A replica that is being stopped answers 503 to what it does not begin any more.
            proxy_next_upstream error timeout http_503;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""


class Member:
    """One process of the cluster, whose output is printed with its name in front."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = command
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it in a session of its own: a Ctrl-C in the terminal reaches this script alone, which stops it."""
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
        )

    async def relay_output(self) -> None:
        """Print what it says until it ends, then say how it ended."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            print(f"{self.name:>9} | {line.decode(errors='replace').rstrip()}", flush=True)
        say(f"{self.name} has ended ({ending(await self.process.wait())})")

    async def keep_running(self, stop: asyncio.Event) -> None:
        """Print what it says, and start it again when it has ended, until `stop` is set."""
        await self.relay_output()
        while not stop.is_set():
            say(f"{self.name} is started again in {RESTART_SECONDS:g} s")
            await first(stop, asyncio.sleep(RESTART_SECONDS))
            if stop.is_set():
                return
            await self.start()
            say(f"{self.name} is started again, process {self.process.pid}")
            if stop.is_set():
                await self.stop()
            await self.relay_output()

    async def stop(self) -> None:
        """Ask it to end; after a while, end it."""
        if self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            say(f"{self.name} does not end; killed")
            self.process.kill()


def say(text: str) -> None:
    """Print a line of the script's own."""
    print(f"  cluster | {text}", flush=True)


def ending(code: int) -> str:
    """Put a process's return code into words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def find_nginx() -> str:
    """Return nginx's path, also where it is outside of a user's PATH; exit with advice where there is none."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        sys.exit("make cluster needs nginx to balance. Debian, Ubuntu: apt-get install nginx (it need not be started).")
    return found


def write_nginx_conf(prefix: Path, port: int, replica_ports: Sequence[int]) -> Path:
    """Write the configuration, all of whose files are under `prefix`, so that any user may run it."""
    servers = "\n".join(f"        server {HOST}:{p} max_fails=0;" for p in replica_ports)
    conf = prefix / "nginx.conf"
    user = "user root;\n" if os.getuid() == 0 else ""  # root's nginx would work as somebody who can't read the prefix
    text = NGINX_CONF.format(user=user, prefix=prefix, host=HOST, port=port, servers=servers)
    conf.write_text(text, encoding="utf-8")
    return conf


def replica(name: str, port: int, folder: Path) -> Member:
    """Return one replica, not started. What it is told here comes before the environment and config files."""
    settings = {
        "EnterpriseGatewayApp.ip": HOST,
        "EnterpriseGatewayApp.port": port,
        "EnterpriseGatewayApp.port_retries": 0,
        "EnterpriseGatewayApp.base_url": "/",
        "EnterpriseGatewayApp.on_exit": "leave",
        "KernelSessionManager.mongodb_uri": "",
        "KernelSessionManager.data_dir": folder / "database",
    }
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    return Member(name, [sys.executable, "-m", "enterprise_gateway", *arguments])


def is_ready(port: int) -> bool:
    """Ask one replica. Blocks for two seconds at most."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def wait_until_ready(members: Sequence[Member], ports: Sequence[int]) -> bool:
    """Wait until all replicas are ready; False where one ended, or needs too long."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + READY_SECONDS
    waiting = set(ports)
    while waiting:
        if loop.time() > give_up or any(member.process.returncode is not None for member in members):
            return False
        waiting -= {port for port in waiting if await asyncio.to_thread(is_ready, port)}
        await asyncio.sleep(0.2)
    return True


def ask(method: str, port: int, path: str) -> bytes:
    """Send one request to a replica. Blocks."""
    token = os.environ.get("EG_AUTH_TOKEN", "").partition(",")[0]
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def end_kernels(ports: Sequence[int]) -> None:
    """End all kernels of the cluster, by whichever replica answers. Blocks."""
    for port in ports:
        try:
            kernels = json.loads(ask("GET", port, "/api/kernels"))
            for kernel in kernels:
                ask("DELETE", port, f"/api/kernels/{kernel['id']}")
        except (urllib.error.URLError, OSError):
            continue
        say(f"{len(kernels)} kernel{'s' * (len(kernels) != 1)} ended")
        return
    say("no replica answers: kernels that are left are there again with the next `make cluster`")


async def run(port: int, count: int, folder: Path, *, keep_kernels: bool) -> int:
    """Run the cluster until a signal, or until nginx has ended."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ports = [port + 1 + index for index in range(count)]
    replicas = [replica(f"replica-{index}", own, folder) for index, own in enumerate(ports, start=1)]
    with tempfile.TemporaryDirectory(prefix="eg-cluster-") as prefix:
        conf = write_nginx_conf(Path(prefix), port, ports)
        balancer = Member("nginx", [find_nginx(), "-e", "stderr", "-p", prefix, "-c", str(conf)])
        say(f"Starting {count} replicas behind nginx. Connect to http://{HOST}:{port} when all are ready")
        return await attend(replicas, balancer, ports, stop, keep_kernels=keep_kernels)


async def attend(
    replicas: Sequence[Member], balancer: Member, ports: Sequence[int], stop: asyncio.Event, *, keep_kernels: bool
) -> int:
    """Start all, say where they are, wait for the end, stop all."""
    members = [*replicas, balancer]
    for member in members:
        await member.start()
    balancing = asyncio.create_task(balancer.relay_output())
    keeping = [asyncio.create_task(member.keep_running(stop)) for member in replicas]
    try:
        if await first(stop, wait_until_ready(members, ports)) is False:
            say("not everything has come up: see above")
            return 1
        if not stop.is_set():
            introduce(replicas, ports)
            await first(stop, asyncio.wait([balancing]))
        return 0
    finally:
        say("stopping")
        if not keep_kernels:
            await asyncio.to_thread(end_kernels, ports)
        stop.set()
        await asyncio.gather(*(member.stop() for member in replicas))
        await balancer.stop()
        await asyncio.gather(balancing, *keeping)


async def first(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """Wait for the work, but no longer than until `stop` is set; then None."""
    stopped = asyncio.ensure_future(stop.wait())
    working = asyncio.ensure_future(work)
    await asyncio.wait(
        [cast("asyncio.Future[Any]", task) for task in (stopped, working)], return_when="FIRST_COMPLETED"
    )
    stopped.cancel()
    if not working.done():
        working.cancel()
        return None
    return working.result()


def introduce(replicas: Sequence[Member], ports: Sequence[int]) -> None:
    """Say where the cluster is, and what to try."""
    say(f"All ready. Try: jupyter lab --gateway-url=http://{HOST}:{ports[0] - 1}")
    for member, port in zip(replicas, ports, strict=True):
        say(f"{member.name}: http://{HOST}:{port}, process {member.process.pid}")
    say(f"To see a replica die: kill -9 {replicas[0].process.pid}; it is started again. Ctrl-C stops all.")


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description="Three replicas on one embedded database behind nginx.")
    parser.add_argument("--port", type=int, default=8890, help="nginx's port; the replicas take the next ones")
    parser.add_argument("--replicas", type=int, default=3, help="how many")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the database is")
    parser.add_argument("--keep-kernels", action="store_true", help="leave the kernels running at the end")
    options = parser.parse_args()
    work = run(options.port, options.replicas, options.folder.absolute(), keep_kernels=options.keep_kernels)
    sys.exit(asyncio.run(work))


if __name__ == "__main__":
    main()
