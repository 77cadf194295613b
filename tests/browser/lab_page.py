"""JupyterLab as a person uses it: what he clicks and what he sees, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from playwright.async_api import Locator, Page, expect

PATIENCE_MS = 90_000  # a cold start of a kernel, beside a browser, on a busy machine
expect.set_options(timeout=PATIENCE_MS)
SETTINGS: dict[str, dict[str, object]] = {
    # It asks nothing at its first start, and looks for nothing on the net.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Not one second: a kernel's first completion takes longer on a busy machine.
    "@jupyterlab/completer-extension/manager": {"providerTimeout": PATIENCE_MS},
}


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a Python notebook with these code cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
    )
    nbformat.write(notebook, path)


def write_settings(config: Path) -> None:
    """Write the user's settings of JupyterLab."""
    for name, values in SETTINGS.items():
        path = config / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


class LabPage:
    """One browser tab with JupyterLab and one notebook in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    async def open(self, notebook: str, *, kernel: str = "Idle", workspace: str = "") -> None:
        """Open the notebook in a workspace of its own, and wait for its kernel to be `kernel` ("" does not wait)."""
        workspace = workspace or Path(notebook).stem
        await self.page.goto(f"{self._url}/lab/workspaces/{workspace}/tree/{notebook}?reset")
        await expect(self.cells.first).to_be_visible()
        if kernel:
            await self.kernel_is(kernel)

    @property
    def cells(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-CodeCell")

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".jp-Dialog")

    @property
    def kernel_name(self) -> Locator:
        """The name beside the circle, above the notebook."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Toolbar-kernelName")

    def tab(self, name: str) -> Locator:
        """JupyterLab's own tab of a document."""
        return self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel").get_by_text(name, exact=True)

    async def kernel_is_gone(self) -> None:
        """Wait for the page to say so: dead, or none any more if jupyter_server has looked at the list before."""
        status = self.page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| (Dead|Disconnected)"))
        await expect(status).to_be_visible()

    async def kernel_is(self, state: str) -> None:
        """Wait for the status bar to say `state` of the kernel, as "Idle".

        The circle beside the kernel's name says idle before there is any kernel, and a cell run then is run nowhere.
        """
        status = self.page.locator("#jp-main-statusbar").get_by_text(f"| {state}")
        await expect(status).to_be_visible()

    async def run(self, index: int) -> None:
        """Run cell `index`, counted from 0, and go on at once."""
        await self.cells.nth(index).locator(".jp-InputArea-editor").click()
        await self.page.keyboard.press("Control+Enter")

    async def rewrite(self, index: int, source: str) -> None:
        """Replace the text of a cell, as typed."""
        await self.cells.nth(index).locator(".jp-InputArea-editor").click()
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.insert_text(source)

    async def complete(self, offered: str) -> None:
        """Press Tab in the cell that is being written, and Enter when `offered` is in the list."""
        await expect(self.page.locator(".jp-mod-completer-enabled")).to_be_attached()
        await self.page.keyboard.press("Tab")
        chosen = self.page.locator(".jp-Completer-item.jp-mod-active")
        await expect(chosen).to_contain_text(offered)
        await self.page.keyboard.press("Enter")

    def output(self, index: int) -> Locator:
        return self.cells.nth(index).locator(".jp-OutputArea")

    async def shows(self, index: int, text: str | re.Pattern[str]) -> None:
        """Wait until the output of a cell holds `text`."""
        await expect(self.output(index)).to_contain_text(text)

    async def has_run(self, index: int, count: int) -> None:
        """Wait until the prompt of a cell is `[count]:`."""
        prompt = self.cells.nth(index).locator(".jp-InputPrompt")
        await expect(prompt).to_have_text(f"[{count}]:")

    async def press_toolbar(self, item: str) -> None:
        """Press a button above the notebook: "interrupt", "restart", "restart-and-run", "save"."""
        await self.page.locator(f'.jp-NotebookPanel-toolbar [data-jp-item-name="{item}"] jp-button').click()

    async def choose(self, menu: str, entry: str) -> None:
        """Choose an entry of the main menu, as "Kernel", "Shut Down Kernel"."""
        await self.page.locator("#jp-MainMenu .lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
        await self.page.locator(".lm-Menu .lm-Menu-item").get_by_text(entry, exact=True).click()

    async def accept(self) -> None:
        """Press the dialog's own button, and see the dialog go."""
        await self.dialog.locator(".jp-mod-accept").click()
        await expect(self.dialog).to_have_count(0)
