"""nbclient runs a notebook on a gateway by jupyter_server's kernel manager and client, which send no token."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import nbformat

from tests.cluster.conftest import MakeCluster
from tests.cluster.jupyter_servers import clean_env
from tests.cluster.rest import Rest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "arithmetic.ipynb"

# In a process of its own: it starts threads, and GatewayClient is one for each process.
RUN = """
import sys
import nbformat
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient

url, source, result = sys.argv[1:]
GatewayClient.instance().url = url
notebook = nbformat.read(source, 4)
NotebookClient(notebook, kernel_manager_class=GatewayKernelManager, timeout=200).execute()
nbformat.write(notebook, result)
"""


async def test_a_whole_notebook_is_run_by_nbclient(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster(token="")
    cluster.start()
    result = tmp_path / "result.ipynb"
    command = [sys.executable, "-c", RUN, cluster.urls[0], str(NOTEBOOK), str(result)]
    run = await asyncio.to_thread(
        subprocess.run, command, env=clean_env(tmp_path), capture_output=True, text=True, timeout=250, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    outputs = {cell.id: cell.get("outputs") for cell in nbformat.read(result, 4).cells}
    assert {(output.name, output.text) for output in outputs["text"]} == {("stdout", "out\n"), ("stderr", "err\n")}
    assert outputs["value"][0].data["text/plain"] == "42"
    assert "image/png" in outputs["plot"][0].data
    assert outputs["error"][0].ename == "ZeroDivisionError"
    assert outputs["after"][0].text.startswith("42 ")
    async with Rest(cluster.urls, "") as rest:
        assert await rest.listed() == set()
