"""What a person does in JupyterLab, on kernels of the gateway."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.conftest import MOST_KERNELS, USER, OpenNotebook
from tests.browser.lab_page import LabPage
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Rest
from tests.cluster.test_automatic_restarts import kill
from tests.cluster.waiting import eventually

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]

ENDLESS = "import time\nx = 1\nprint('running')\nwhile True:\n    time.sleep(0.1)"
COUNTS_ITS_RUNS = "runs = globals().get('runs', 0) + 1\nprint(f'run {runs} of this kernel')"


async def test_cells_show_what_they_print_their_value_an_error_and_a_plot(open_notebook: OpenNotebook) -> None:
    cells = ["print('hello')\nx = 41", "x + 1", "1 / 0", "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"]
    lab = await open_notebook("outputs.ipynb", cells)
    for index, shown in enumerate(("hello", "42", "ZeroDivisionError")):
        await lab.run(index)
        await lab.shows(index, shown)
    await lab.run(3)  # not before: an error aborts what is queued behind it
    plot = lab.output(3).locator("img")
    await expect(plot).to_be_visible()
    assert await plot.evaluate("image => image.naturalWidth") > 100


async def test_input_asks_and_takes_the_answer(open_notebook: OpenNotebook) -> None:
    lab = await open_notebook("input.ipynb", ["name = input('Who are you? ')\nprint('Hello,', name)"])
    await lab.run(0)
    answer = lab.output(0).locator(".jp-Stdin-input")
    await answer.fill("Ada")
    await answer.press("Enter")
    await lab.shows(0, "Hello, Ada")


async def test_tab_completes_a_name_that_only_the_kernel_knows(open_notebook: OpenNotebook) -> None:
    lab = await open_notebook("completion.ipynb", ["globals()['remarkable' + '_name'] = 7", ""])
    await lab.run(0)
    await lab.has_run(0, 1)
    await lab.rewrite(1, "remarkable_n")
    await lab.complete("remarkable_name")
    await expect(lab.cells.nth(1).locator(".jp-InputArea-editor")).to_contain_text("remarkable_name")


async def test_a_slider_moves_the_kernels_value_and_the_kernel_moves_the_slider(open_notebook: OpenNotebook) -> None:
    cells = ["import ipywidgets\nslider = ipywidgets.IntSlider(value=5)\nslider", "slider.value", "slider.value = 20"]
    lab = await open_notebook("slider.ipynb", cells)
    await lab.run(0)
    handle, readout = lab.output(0).locator(".noUi-handle"), lab.output(0).locator(".widget-readout")
    for _ in range(3):
        await handle.press("ArrowRight")
    await expect(readout).to_have_text("8")
    await lab.run(1)
    await lab.shows(1, "8")
    await lab.run(2)
    await expect(readout).to_have_text("20")


async def test_interrupt_ends_the_cell_and_keeps_the_variables(open_notebook: OpenNotebook) -> None:
    lab = await open_notebook("interrupt.ipynb", [ENDLESS, "x + 1"])
    await lab.run(0)
    await lab.shows(0, "running")
    await lab.press_toolbar("interrupt")
    await lab.shows(0, "KeyboardInterrupt")
    await lab.run(1)
    await lab.shows(1, "2")


async def test_restart_and_run_all_runs_everything_in_a_new_kernel(open_notebook: OpenNotebook) -> None:
    lab = await open_notebook("restart.ipynb", [COUNTS_ITS_RUNS, "print('the last cell has seen', runs)"])
    for runs in (1, 2):
        await lab.run(0)
        await lab.shows(0, f"run {runs} of this kernel")
    await lab.press_toolbar("restart-and-run")
    await lab.accept()
    await lab.shows(1, "the last cell has seen 1")
    await lab.shows(0, "run 1 of this kernel")
    await lab.has_run(1, 2)


async def test_a_renamed_notebook_keeps_its_kernel(open_notebook: OpenNotebook, gateway_rest: Rest) -> None:
    lab = await open_notebook("before.ipynb", ["x = 'kept'", "x"])
    await lab.run(0)
    await lab.has_run(0, 1)
    kernels = await gateway_rest.listed()
    await lab.press_toolbar("save")
    await lab.choose("File", "Rename Notebook…")
    await lab.dialog.locator("input").fill("after.ipynb")
    await lab.accept()
    await expect(lab.tab("after.ipynb")).to_be_visible()
    await lab.run(1)
    await lab.shows(1, "kept")
    assert await gateway_rest.listed() == kernels


async def test_a_second_tab_is_on_the_same_kernel(open_notebook: OpenNotebook, gateway_rest: Rest) -> None:
    first = await open_notebook("shared.ipynb", ["x = 'of the first tab'", "x", "x = 'of the second tab'"])
    await first.run(0)
    await first.has_run(0, 1)
    second = await open_notebook("shared.ipynb", workspace="second")
    await second.run(1)
    await second.shows(1, "of the first tab")
    await second.run(2)
    await second.has_run(2, 3)
    await first.run(1)
    await first.shows(1, "of the second tab")
    assert len(await gateway_rest.listed()) == 1


async def test_shut_down_ends_the_kernel_on_the_gateway(open_notebook: OpenNotebook, gateway_rest: Rest) -> None:
    lab = await open_notebook("shutdown.ipynb", ["x = 1"])
    await lab.run(0)
    await lab.has_run(0, 1)
    assert len(await gateway_rest.listed()) == 1
    await lab.choose("Kernel", "Shut Down Kernel")
    await expect(lab.kernel_name).to_contain_text("No Kernel")
    await eventually(lambda: none_listed(gateway_rest), "the gateway lists no kernel")


async def none_listed(rest: Rest) -> bool:
    return not await rest.listed()


async def test_a_start_that_is_refused_says_why_on_the_page(open_notebook: OpenNotebook, gateway_rest: Rest) -> None:
    await asyncio.gather(*(gateway_rest.start(env={"KERNEL_USERNAME": USER}) for _ in range(MOST_KERNELS)))
    lab = await open_notebook("refused.ipynb", ["x = 1"], kernel="")
    await expect(lab.dialog).to_contain_text(str(MOST_KERNELS))
    await expect(lab.dialog).to_contain_text(USER)


async def test_a_kernel_that_dies_is_restarted_and_the_page_says_so(open_notebook: OpenNotebook) -> None:
    lab = await open_notebook("dying.ipynb", [COUNTS_ITS_RUNS, "import os\nos._exit(3)"])
    await lab.run(0)
    await lab.has_run(0, 1)
    await lab.run(1)
    await expect(lab.dialog).to_contain_text("appears to have died. It will restart automatically")
    await lab.accept()
    await lab.run(0)
    await lab.has_run(0, 1)
    await lab.shows(0, "run 1 of this kernel")


async def test_a_kernel_that_dies_too_often_is_shown_as_gone(
    open_notebook: OpenNotebook, gateway: Cluster, gateway_rest: Rest
) -> None:
    lab = await open_notebook("dead.ipynb", [COUNTS_ITS_RUNS])
    (kernel_id,) = await gateway_rest.listed()
    for generation in (1, 2):
        await kill(gateway, kernel_id, generation)
    await lab.kernel_is_gone()


async def test_a_restart_on_another_replica_is_seen_by_the_page(
    open_notebook: OpenNotebook, gateway_rest: Rest
) -> None:
    lab: LabPage = await open_notebook("elsewhere.ipynb", [COUNTS_ITS_RUNS])
    await lab.run(0)
    await lab.shows(0, "run 1 of this kernel")
    (kernel_id,) = await gateway_rest.listed()
    await gateway_rest.post(f"/api/kernels/{kernel_id}/restart", on=1, expect=200)
    await lab.kernel_is("Idle")
    await lab.run(0)
    await lab.has_run(0, 1)
    await lab.shows(0, "run 1 of this kernel")
