"""The acts that a replica is asked for while another one survives."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import httpx
from tornado.httpclient import HTTPError

from tests.cluster import light_kernels
from tests.cluster.fault_seen import as_one_client
from tests.cluster.kernel_socket import Closed
from tests.cluster.processes import ServerProcess
from tests.cluster.provisioners import VISITING
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import PATIENCE_SECONDS, eventually

LOST = (HTTPError, OSError, Closed, TimeoutError)

OBSTINATE_END = "shutdown of an obstinate kernel"
END_ELSEWHERE = "shutdown of a kernel that is started elsewhere"
ANEW = "launch of an id anew"
LAST_DEATH = "last death of a kernel"
UNGATED = "launch by another provisioner"
ACTS = (
    "restart",
    "restart of a dead kernel",
    "shutdown",
    OBSTINATE_END,
    "reconnect",
    "handover",
    "launch",
    "failing launch",
    END_ELSEWHERE,
    ANEW,
    LAST_DEATH,
    UNGATED,
)
"""Those that may take longest first. A client comes back to the victim in a reconnect, and leaves it in a handover."""
OWN = {END_ELSEWHERE: "want stopped", ANEW: "revive", LAST_DEATH: "end dead", UNGATED: "begin launch"}
"""The one step of an act that no other one has."""
ENDS = ("shutdown", OBSTINATE_END, END_ELSEWHERE)
"""The kernel is gone when they succeed."""
_ON_A_RUNNING_KERNEL = {*ACTS[:6], LAST_DEATH}
_DEATHS = ("restart of a dead kernel", LAST_DEATH)
_MOST_RESTARTS = 5
_NEVER_STABLE = datetime(2999, 1, 1, tzinfo=UTC)


class Asking:
    """Asks replicas of a cluster for acts.

    Args:
        cluster: The cluster.
        survivor: The one to which nothing is done.
    """

    def __init__(self, cluster: Cluster, survivor: ServerProcess) -> None:
        self._cluster = cluster
        self._survivor = survivor

    async def kernel_for(self, act: str) -> str:
        """Give an id for the act: of a running kernel or of one that has ended, where it needs one."""
        kernel_id = str(uuid4())
        async with Rest([self._survivor.url], self._cluster.token) as rest:
            if act in _ON_A_RUNNING_KERNEL or act == ANEW:
                name = light_kernels.OBSTINATE if act == OBSTINATE_END else light_kernels.LIGHT
                await rest.start(name=name, kernel_id=kernel_id)
            if act == ANEW:
                await rest.delete(f"/api/kernels/{kernel_id}")
        return kernel_id

    async def ask(self, replica: ServerProcess, rest: Rest, act: str, kernel_id: str) -> httpx.Response | None:
        """Have a replica do an act, and wait until it has."""
        if act in _DEATHS:
            await self._let_die(replica, rest, kernel_id, last=act == LAST_DEATH)
            return None
        if act in ("reconnect", "handover"):
            way = (self._survivor, replica) if act == "reconnect" else (replica, self._survivor)
            for server in way:
                with suppress(*(LOST if server is replica else ())):
                    await as_one_client(self._cluster, server, kernel_id)
            return None
        if act == END_ELSEWHERE:
            return await self._end_elsewhere(rest, kernel_id)
        if act in ENDS:
            return await rest.request("DELETE", f"/api/kernels/{kernel_id}")
        if act == "restart":
            return await rest.request("POST", f"/api/kernels/{kernel_id}/restart", body={})
        name = {"failing launch": light_kernels.FAILING, UNGATED: VISITING}.get(act, light_kernels.LIGHT)
        return await rest.request("POST", "/api/kernels", body={"name": name, "kernel_id": kernel_id})

    async def _let_die(self, owner: ServerProcess, rest: Rest, kernel_id: str, *, last: bool) -> None:
        """Kill the process of a kernel that this replica watches, and wait until it runs again, or has ended.

        It dies for the last time where it was restarted often enough, and has not been stable since.
        """
        often = {"restarts": _MOST_RESTARTS, "started_at": _NEVER_STABLE} if last else {}
        self._cluster.write("kernels", kernel_id, {"owner.replica": self._cluster.replica_id(owner), **often})
        await rest.expect(204, "POST", f"/api/kernels/{kernel_id}/interrupt")  # it holds the kernel now
        (process,) = self._cluster.kernel_processes(kernel_id)
        process.kill()

        def over() -> bool:
            record = self._cluster.document(kernel_id)
            again: bool = record["phase"] == "running" and record["generation"] > process.generation
            return again or record["phase"] == "ended"

        # Nobody restarts it before a paused owner goes on, which is when all others are at their points.
        await eventually(over, "its restart is over", seconds=10 * PATIENCE_SECONDS)

    async def _end_elsewhere(self, rest: Rest, kernel_id: str) -> httpx.Response:
        """Shut a kernel down which the survivor is starting."""
        async with Rest([self._survivor.url], self._cluster.token) as elsewhere:
            body = {"name": light_kernels.SILENT, "kernel_id": kernel_id}
            start = asyncio.ensure_future(elsewhere.request("POST", "/api/kernels", body=body))
            try:
                started = {"_id": kernel_id, "process": {"$exists": True}}
                await eventually(lambda: self._cluster.documents("kernels", started), "it is being started")
                return await rest.request("DELETE", f"/api/kernels/{kernel_id}")
            finally:
                await asyncio.wait({start})
