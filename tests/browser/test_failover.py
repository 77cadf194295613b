"""JupyterLab before three replicas, behind nginx without sticky sessions: one goes in the middle of a cell.

jupyter_server opens a WebSocket that it gives up at once and never closes, and then another, which nginx sends to
another replica: the page must notice nothing of it.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence import clock
from scripts.cluster import find_nginx, write_nginx_conf
from tests.browser.conftest import OpenNotebook
from tests.browser.lab_page import LabPage, write_settings
from tests.cluster.jupyter_servers import clean_env, start_jupyter
from tests.cluster.processes import ServerProcess, free_port
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

pytestmark = [pytest.mark.chromium, pytest.mark.nginx, pytest.mark.asyncio(loop_scope="module")]

PRINTS_UNTIL_TOLD = """
import os, time
n = 0
while not os.path.exists({path!r}):
    print('line', n)
    n += 1
    time.sleep(0.05)
print('the end after', n)
"""


@pytest.fixture(scope="module")
def gateway(mongod_uri: str) -> Iterator[Cluster]:
    with Cluster(mongod_uri) as cluster:
        cluster.start(3)
        yield cluster


@pytest.fixture(scope="module")
def nginx(gateway: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    conf = write_nginx_conf(folder, port, [int(url.rpartition(":")[2]) for url in gateway.urls])
    command = [find_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(conf)]
    process = ServerProcess("nginx", command, clean_env(folder), port, folder)
    process.wait_until_ready("/readyz")
    yield process
    process.signal(signal.SIGTERM)  # its worker would outlive a SIGKILL
    process.stop()


@pytest.fixture(scope="module")
def lab(gateway: Cluster, nginx: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("lab")
    write_settings(folder / "config")
    process = start_jupyter("lab", folder, gateway_url=nginx.url, gateway_token=gateway.token)
    yield process
    process.kill()


@pytest.fixture
def whole(gateway: Cluster, gateway_rest: Rest) -> Iterator[Cluster]:
    """The cluster, which has all three replicas again after the test, before its kernels are ended."""
    yield gateway
    for index, replica in enumerate(gateway.replicas):
        if not replica.running:
            gateway.start_again(index)


async def replica_of_the_page(gateway: Cluster) -> ServerProcess:
    """The replica on which the page's WebSocket is."""

    def counted() -> str | None:
        (record,) = gateway.documents("kernels", {"phase": "running"})
        return next((one for one, here in record.get("connections", {}).items() if here["count"]), None)

    replica_id = await eventually(counted, "the page's connection is counted")
    (document,) = gateway.documents("replicas", {"_id": replica_id})
    return next(replica for replica in gateway.replicas if replica.url == document["url"])


async def printed(lab: LabPage) -> list[int]:
    return [int(number) for number in re.findall(r"line (\d+)\n", await lab.output(0).inner_text() + "\n")]


async def prints_on(lab: LabPage, after: int) -> None:
    async def later() -> bool:
        return max(await printed(lab), default=-1) > after

    await eventually(later, "the page shows what the cell has printed since")


async def running_cell(open_notebook: OpenNotebook, name: str, go: Path) -> LabPage:
    lab = await open_notebook(name, [PRINTS_UNTIL_TOLD.format(path=str(go)), "n + 1"])
    await lab.run(0)
    await prints_on(lab, 3)
    return lab


async def seen_to_its_end(lab: LabPage, go: Path) -> None:
    """What the cell prints reaches the page again, and so does its end; then the next one works."""
    begun = clock.monotonic()
    # What was on its way when the replica went may still come: some lines.
    await prints_on(lab, max(await printed(lab)) + 10)
    print(f"the page shows output again {clock.monotonic() - begun:.1f} s after its replica went")
    go.open("w").close()
    await lab.shows(0, "the end after")
    await lab.has_run(0, 1)
    await lab.run(1)
    await lab.has_run(1, 2)
    await lab.shows(1, re.compile(r"\d+"))


async def test_a_cell_goes_on_in_the_page_when_its_replica_is_killed(
    whole: Cluster, open_notebook: OpenNotebook, tmp_path: Path
) -> None:
    lab = await running_cell(open_notebook, "killed.ipynb", tmp_path / "go")
    (await replica_of_the_page(whole)).kill()
    await seen_to_its_end(lab, tmp_path / "go")


async def test_no_line_of_a_cell_is_missing_in_the_page_when_its_replica_is_stopped(
    whole: Cluster, open_notebook: OpenNotebook, tmp_path: Path
) -> None:
    lab = await running_cell(open_notebook, "stopped.ipynb", tmp_path / "go")
    replica = await replica_of_the_page(whole)
    replica.signal(signal.SIGTERM)
    await seen_to_its_end(lab, tmp_path / "go")
    lines = await printed(lab)
    assert lines == list(range(len(lines)))
    await lab.shows(0, f"the end after {len(lines)}")
    assert replica.stop() == 0
