"""What kernels have left on a host is ended and removed by the replicas there; what lives, or is another's, is not.

All of it is left at once, so that the tests wait for one grace together.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from enterprise_gateway.provisioners.census import DEPLOYMENT, GENERATION, KERNEL_ID
from tests.cluster import light_kernels
from tests.cluster.kernel_processes import runs
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

SETTINGS = {**light_kernels.SETTINGS, "EG_SHUTDOWN_WAIT_TIME": "0"}
START_SLEEP = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
NOBODY = "a-kernel-without-record"


@dataclass(kw_only=True)
class Left:
    """Pids, kernel ids and directories of what was left, or only looks so."""

    ended: str
    started_by_ended: int
    restarted: str
    started_by_former: int
    started_by_present: int
    before_reboot: str
    container: str
    without_record: int
    directory: Path
    others_process: int
    others_directory: Path


@pytest.fixture(scope="module")
def cluster(mongod_uri: str) -> Iterator[Cluster]:
    """Two replicas: both sweep, neither may stumble over the other."""
    with Cluster(mongod_uri, settings=SETTINGS) as cluster:
        light_kernels.install(cluster)
        cluster.start(2)
        yield cluster


@pytest.fixture(scope="module")
def left(cluster: Cluster) -> Iterator[Left]:
    with ExitStack() as stack:
        yield asyncio.run(leave(cluster, stack))


async def leave(cluster: Cluster, stack: ExitStack) -> Left:
    ours, others = str(cluster.documents("deployment")[0]["id"]), uuid4().hex
    async with Rest(cluster.urls, cluster.token) as rest:
        ended, restarted, rebooted, container = [await rest.start(name="light") for _ in range(4)]
        started_by_ended, started_by_former = [int(await rest.run(one, START_SLEEP)) for one in (ended, restarted)]
        await rest.delete(f"/api/kernels/{ended}")
        await rest.post(f"/api/kernels/{restarted}/restart", expect=200)
        started_by_present = int(await rest.run(restarted, START_SLEEP))
    for pid in (started_by_ended, started_by_former, started_by_present):
        stack.callback(end, pid)
    cluster.write("kernels", container, {"host.id": "beside"})
    cluster.write("kernels", rebooted, {"host.id": "before", "host.boot": "before"})
    return Left(
        ended=ended,
        started_by_ended=started_by_ended,
        restarted=restarted,
        started_by_former=started_by_former,
        started_by_present=started_by_present,
        before_reboot=rebooted,
        container=container,
        without_record=marked_process(NOBODY, ours, stack),
        directory=directory_of(cluster, ours),
        others_process=marked_process(NOBODY, others, stack),
        others_directory=directory_of(cluster, others),
    )


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def marked_process(kernel_id: str, deployment: str, stack: ExitStack) -> int:
    marks = {KERNEL_ID: kernel_id, GENERATION: "1", DEPLOYMENT: deployment}
    process = stack.enter_context(subprocess.Popen(["sleep", "1000"], env={"PATH": os.environ["PATH"], **marks}))
    stack.callback(process.kill)
    return process.pid


def directory_of(cluster: Cluster, deployment: str) -> Path:
    path = cluster.runtime / "k" / deployment[:8] / f"{NOBODY}-too.1"
    path.mkdir(parents=True)
    (path / "connection.json").touch()
    return path


async def swept(cluster: Cluster) -> None:
    """Wait until a sweep has ended and removed what no record names."""
    await eventually(lambda: cluster.logs.count(f"of kernel {NOBODY}") >= 2, "a sweep was made")


async def test_what_a_kernel_has_started_ends_after_it(left: Left) -> None:
    await eventually(lambda: not runs(left.started_by_ended), "it is ended")


async def test_what_a_kernel_had_started_before_it_was_restarted_ends(left: Left) -> None:
    await eventually(lambda: not runs(left.started_by_former), "it is ended")


async def test_what_no_record_names_ends(left: Left) -> None:
    await eventually(lambda: not runs(left.without_record), "the process is ended")
    await eventually(lambda: not left.directory.exists(), "the directory is removed")


async def test_a_kernel_of_this_machine_before_its_last_boot_is_ended_with_that_reason(
    left: Left, cluster: Cluster
) -> None:
    await eventually(lambda: cluster.document(left.before_reboot)["phase"] == "ended", "its record is ended")
    assert "was started anew" in cluster.document(left.before_reboot)["reason"]


async def test_what_a_living_kernel_has_started_goes_on(left: Left, cluster: Cluster) -> None:
    await swept(cluster)
    assert runs(left.started_by_present)
    async with Rest(cluster.urls, cluster.token) as rest:
        assert await rest.run(left.restarted, "print(6 * 7)") == "42"


async def test_another_deployment_on_the_host_keeps_what_it_has(left: Left, cluster: Cluster) -> None:
    await swept(cluster)
    assert runs(left.others_process)
    assert left.others_directory.exists()


async def test_a_kernel_of_a_container_beside_is_not_ended(left: Left, cluster: Cluster) -> None:
    await swept(cluster)
    assert cluster.document(left.container)["phase"] == "running"
    assert cluster.kernel_processes(left.container)
