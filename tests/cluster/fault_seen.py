"""What there is of kernels after faults, and whether it is right: in the database, on the host, and to a client."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from persistence import clock
from tests.cluster import light_kernels
from tests.cluster.kernel_socket import KernelSocket
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import PATIENCE_SECONDS, eventually

LOOK_SECONDS = 0.2  # a look at all kernels is no trifle


@dataclass
class Seen:
    """What there is of all kernels, in the database and on the host."""

    records: Mapping[str, Mapping[str, Any]]
    generations: Mapping[str, Sequence[int]]
    """Of the processes."""
    directories: Mapping[str, Sequence[int]]
    conflicts: set[str]
    living: set[str]
    """Ids of the replicas that are not dead."""

    @classmethod
    def now(cls, cluster: Cluster) -> Seen:
        """Look, at the processes last: a record that says what runs is older."""
        replicas = cluster.documents("replicas")
        records = {str(record["_id"]): record for record in cluster.documents("kernels")}
        directories: dict[str, list[int]] = defaultdict(list)
        for path in (cluster.runtime / "k").glob("*/*.*"):
            kernel_id, _, generation = path.name.rpartition(".")
            directories[kernel_id].append(int(generation))
        generations: dict[str, list[int]] = defaultdict(list)
        for process in cluster.kernel_processes():
            generations[process.kernel_id].append(process.generation)
        return cls(
            records=records,
            generations=generations,
            directories=directories,
            conflicts=light_kernels.conflicts(cluster),
            living={str(replica["_id"]) for replica in replicas if replica["state"] != "dead"},
        )

    def at_work(self, kernel_id: str) -> bool:
        """Is an act at work on the kernel?"""
        record = self.records.get(kernel_id)
        return record is not None and record["phase"] not in ("running", "ended")

    def complaint(self, kernel_id: str) -> str | None:
        """Say what is wrong with a kernel; None: it runs and is whole, or is gone and has left nothing."""
        if kernel_id in self.conflicts:
            return "it had two processes at a time"
        record = self.records.get(kernel_id, {"phase": "ended", "reason": "it was never recorded"})
        if record["phase"] not in ("running", "ended") or "act" in record:
            return f"it is stuck: {record['phase']}, {record.get('act')}"
        wanted = [record["generation"]] if record["phase"] == "running" else []
        processes, directories = self.generations.get(kernel_id, []), self.directories.get(kernel_id, [])
        if processes != wanted:
            return f"it is {record['phase']}, of generation {wanted}, its processes are of {processes}"
        if directories != wanted:
            return f"it is {record['phase']}, of generation {wanted}, its directories are of {directories}"
        return self._running(record) if record["phase"] == "running" else self._ended(record)

    def _running(self, record: Mapping[str, Any]) -> str | None:
        owner = record.get("owner", {}).get("replica")
        return None if owner in self.living else f"nobody who lives owns it, but {owner}"

    def _ended(self, record: Mapping[str, Any]) -> str | None:
        if not record.get("reason"):
            return "it ended without a reason"
        return "it ended and holds a slot" if {"slot", "user_slot"} & set(record) else None


async def eventually_none(
    cluster: Cluster, kernel_ids: Sequence[str], wrong: Callable[[Seen, str], object], what: str
) -> None:
    """Wait until nothing is wrong. What still is at the end of patience will be complained of."""

    async def none() -> bool:
        await clock.sleep(LOOK_SECONDS)
        seen = await asyncio.to_thread(Seen.now, cluster)
        return not any(wrong(seen, kernel_id) for kernel_id in kernel_ids)

    with suppress(AssertionError):
        await eventually(none, what, seconds=PATIENCE_SECONDS)


async def use(
    cluster: Cluster, server: ServerProcess, kernel_id: str, *, told: httpx.Response | None, gone: bool
) -> None:
    """See that a replica serves the kernel, or says that it is gone, and that the client was told the truth.

    Args:
        cluster: Of the replica.
        server: The replica.
        kernel_id: The kernel.
        told: What the client was answered, if it was.
        gone: Is the kernel gone if that was a success?
    """
    async with Rest([server.url], cluster.token) as rest:

        async def certain() -> httpx.Response | None:
            found = await rest.request("GET", f"/api/kernels/{kernel_id}")
            return found if found.status_code in (200, 404) else None

        found = await eventually(certain, f"{server.name} knows whether it runs")
        if told is not None and told.is_success:
            assert (found.status_code == 404) == gone, f"the client was told {told.status_code}: {told.text}"
        if found.status_code == 200:
            await as_one_client(cluster, server, kernel_id)
            printed = await rest.run(kernel_id, "print(6 * 7)")
            assert printed == "42", f"{server.name} can't use it: {printed}"


async def as_one_client(cluster: Cluster, server: ServerProcess, kernel_id: str) -> None:
    """Run something in the kernel's one session, wherever it was before."""
    url = f"{server.url}/api/kernels/{kernel_id}/channels"
    async with await KernelSocket.open(url, token=cluster.token, session_id=kernel_id) as kernel:
        printed = (await kernel.execute("print(6 * 7)")).printed()
    assert printed == "42", f"{server.name} can't go on with the session: {printed}"
