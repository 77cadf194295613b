"""Jupyter's own gateway client in front of us: a real `jupyter server --gateway-url=…`, asked as JupyterLab asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cluster.cells import ENDLESS
from tests.cluster.jupyter_servers import start_jupyter
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.waiting import eventually

TOKEN = "token-of-the-jupyter-server"
LEGACY = False  # jupyter_server's client of a gateway speaks no other framing


@pytest.fixture(scope="module")
def server(trio: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A Jupyter server that runs its kernels on the first replica, with a token."""
    folder = tmp_path_factory.mktemp("jupyter")
    process = start_jupyter("server", folder, gateway_url=trio.urls[0], gateway_token=trio.token, token=TOKEN)
    yield process
    process.kill()


@pytest.fixture
async def jupyter(server: ServerProcess, rest: Rest) -> AsyncIterator[Rest]:
    """A client of the Jupyter server; `rest` is one of the gateway, and tidies up."""
    async with Rest([server.url], TOKEN) as client:
        yield client


async def test_it_starts_executes_lists_and_deletes(jupyter: Rest, rest: Rest) -> None:
    kernel_id = await jupyter.start()
    assert await rest.listed() == {kernel_id}
    assert await jupyter.run(kernel_id, "print(6 * 7)", v1=LEGACY) == "42"
    assert await jupyter.listed() == {kernel_id}

    async def idle() -> bool:  # jupyter_server shows what the last list said, which is up to half a second old
        await jupyter.listed()
        state: str = (await jupyter.get(f"/api/kernels/{kernel_id}"))["execution_state"]
        return state == "idle"

    await eventually(idle, "the kernel is idle again")
    await jupyter.delete(f"/api/kernels/{kernel_id}")
    assert await jupyter.listed() == set()
    assert await rest.listed() == set()


async def test_it_interrupts(jupyter: Rest) -> None:
    kernel_id = await jupyter.start()
    async with await jupyter.open(kernel_id, v1=LEGACY) as kernel:
        msg_id = await kernel.begin(ENDLESS)
        await kernel.until(lambda message: message.type == "stream")
        await jupyter.post(f"/api/kernels/{kernel_id}/interrupt", expect=204)
        assert (await kernel.finish(msg_id)).reply["ename"] == "KeyboardInterrupt"


async def test_it_restarts(jupyter: Rest) -> None:
    kernel_id = await jupyter.start()
    async with await jupyter.open(kernel_id, v1=LEGACY) as kernel:
        await kernel.execute("x = 1")
        await jupyter.post(f"/api/kernels/{kernel_id}/restart", expect=200)
        assert (await kernel.execute("print('x' in globals())")).printed() == "False"


async def test_input_is_asked_and_answered(jupyter: Rest) -> None:
    kernel_id = await jupyter.start()
    async with await jupyter.open(kernel_id, v1=LEGACY) as kernel:
        done = await kernel.execute("print('Hello,', input('Who? '))", inputs=["Ada"])
        assert done.stream("stdout").endswith("Hello, Ada\n")


async def test_a_session_is_opened_renamed_and_ended(jupyter: Rest, rest: Rest) -> None:
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = (await jupyter.post("/api/sessions", body)).json()
    renamed = await jupyter.expect(200, "PATCH", f"/api/sessions/{session['id']}", body={"path": "b.ipynb"})
    assert renamed.json()["kernel"]["id"] == session["kernel"]["id"]
    assert await rest.listed() == {session["kernel"]["id"]}
    await jupyter.delete(f"/api/sessions/{session['id']}")
    assert await rest.listed() == set()


async def test_kernelspecs_and_their_logos_come_through(jupyter: Rest) -> None:
    specs = await jupyter.get("/api/kernelspecs")
    assert specs["default"] == "python3"
    for path in specs["kernelspecs"]["python3"]["resources"].values():
        assert (await jupyter.request("GET", path)).content


async def test_a_kernel_that_is_gone_from_the_gateway_goes_from_its_list(jupyter: Rest, rest: Rest) -> None:
    kernel_id = await jupyter.start()
    await rest.delete(f"/api/kernels/{kernel_id}")

    async def unlisted() -> bool:
        return not await jupyter.listed()

    await eventually(unlisted, "the Jupyter server has dropped it")


async def test_a_refused_start_reaches_the_client_with_its_reason(jupyter: Rest, trio: Cluster) -> None:
    # By a session, as JupyterLab starts kernels; of its kernels API jupyter_server lets no message through.
    session = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "no-such-kernel"}}
    answer = await jupyter.request("POST", "/api/sessions", body=session)
    assert answer.status_code >= 400
    assert "no-such-kernel" in answer.text


async def test_with_a_wrong_token_it_gets_no_kernel(trio: Cluster, tmp_path: Path) -> None:
    process = start_jupyter("server", tmp_path, gateway_url=trio.urls[0], gateway_token="wrong", token=TOKEN)
    try:
        async with Rest([process.url], TOKEN) as client:
            answer = await client.request("POST", "/api/kernels", body={"name": "python3"})
            assert answer.status_code in (401, 403)
    finally:
        process.kill()
