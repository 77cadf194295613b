"""A gateway, JupyterLab in front of it and a headless Chromium, shared by the tests of a module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, async_playwright

from tests.browser.lab_page import PATIENCE_MS, LabPage, write_notebook, write_settings
from tests.cluster.conftest import SHOWN, pytest_runtest_makereport
from tests.cluster.jupyter_servers import start_jupyter
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.requirements import require

__all__ = ["pytest_runtest_makereport"]  # shows the logs with a failure, as in tests/cluster

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
USER = "ada"
MOST_KERNELS = 3
WIDTH, HEIGHT = 1280, 860

OpenNotebook = Callable[..., Awaitable[LabPage]]


@pytest.fixture(scope="module")
def gateway(mongod_uri: str) -> Iterator[Cluster]:
    """Two replicas, of which JupyterLab knows the first; a user may have three kernels, and one may die once."""
    require("chromium")
    settings = {"EG_MAX_KERNELS_PER_USER": str(MOST_KERNELS), "EG_RESTART_LIMIT": "1"}
    with Cluster(mongod_uri, settings=settings) as cluster:
        cluster.start(2)
        yield cluster


@pytest.fixture(scope="module")
def lab(gateway: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`jupyter lab --gateway-url=…` as the user ada."""
    folder = tmp_path_factory.mktemp("lab")
    write_settings(folder / "config")
    process = start_jupyter(
        "lab", folder, gateway_url=gateway.urls[0], gateway_token=gateway.token, env={"KERNEL_USERNAME": USER}
    )
    yield process
    process.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(lab: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    """A Chromium with a new profile."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=require("chromium"),
            args=FLAGS,
            viewport={"width": WIDTH, "height": HEIGHT},
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def gateway_rest(gateway: Cluster) -> AsyncIterator[Rest]:
    """A client of the gateway; afterwards no kernel is left."""
    async with Rest(gateway.urls, gateway.token) as rest:
        yield rest
        await asyncio.gather(*(rest.request("DELETE", f"/api/kernels/{one}") for one in await rest.listed()))


@pytest_asyncio.fixture(loop_scope="module")
async def open_notebook(
    gateway: Cluster, lab: ServerProcess, browser: BrowserContext, gateway_rest: Rest, request: pytest.FixtureRequest
) -> AsyncIterator[OpenNotebook]:
    """Write a notebook with the given cells and open it in a new tab; all tabs are closed with the test."""
    request.node.stash[SHOWN] = [[*gateway.replicas, lab]]

    async def make(name: str, cells: Sequence[str] | None = None, **options: str) -> LabPage:
        if cells is not None:
            write_notebook(lab.folder / name, cells)
        page = LabPage(await browser.new_page(), lab.url)
        await page.open(name, **options)
        return page

    yield make
    # What the test left in its tabs is dropped without the question whether to save it.
    for page in browser.pages[1:]:
        await page.close(run_before_unload=False)
