"""Kernelspecs for everybody in this replica: read in a thread, shared by those who ask at once, kept for a second.

A kernelspec that is installed while the gateway runs is in the list a second later, and found by its name at once.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager

from enterprise_gateway.errors import bad_request, missing, unavailable
from enterprise_gateway.kernelspecs.reading import FoundSpec, SpecReader, file_inside
from persistence import clock

log = logging.getLogger(__name__)

T = TypeVar("T")

FRESH_SECONDS = 1.0
NOT_FOUND = "Kernelspec not found"


@dataclass(frozen=True, kw_only=True)
class _Catalogue:
    """What one read found, and when it began (monotonic seconds)."""

    begun: float
    specs: Mapping[str, FoundSpec]
    model: dict[str, Any]


class SpecService:
    """The kernelspecs of this replica.

    Args:
        manager: jupyter_client's, with its `allowed_kernelspecs`.
        default_kernel_name: Of requests that name none; "" for Jupyter's own default, `python3`.
        base_url: The path in front of every route.
    """

    def __init__(self, manager: KernelSpecManager, *, default_kernel_name: str = "", base_url: str = "/") -> None:
        inner = base_url.strip("/")
        self._reader = SpecReader(manager, f"/{inner}/" if inner else "/")
        self._default = default_kernel_name or NATIVE_KERNEL_NAME
        # A thread of its own: reads never wait behind launches, and two of them never run at once.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kernelspecs")
        self._found: _Catalogue | None = None
        self._reading: asyncio.Task[None] | None = None

    async def all(self) -> dict[str, Any]:
        """Return `{"default", "kernelspecs"}` as `/api/kernelspecs` shows it. It is shared: don't change it.

        Raises:
            GatewayError: 503, the directories can't be read.
        """
        catalogue = await self._catalogue(clock.monotonic() - FRESH_SECONDS)
        return catalogue.model

    async def get(self, name: str) -> dict[str, Any]:
        """Return one kernelspec as `/api/kernelspecs/{name}` shows it. It is shared: don't change it.

        Raises:
            GatewayError: 404, there is none of this name, or it is not allowed.
        """
        return (await self._known(name)).model

    async def resolve(self, name: str | None) -> tuple[str, KernelSpec]:
        """Return the kernelspec that a request means, and its name as the API spells it.

        Args:
            name: What the request said; None for the default one.

        Raises:
            GatewayError: 400, there is none of this name.
        """
        asked = name or self._default
        found = await self._find(asked)
        if found is None:
            raise bad_request(_not_here(asked), NOT_FOUND)
        known: str = found.model["name"]
        # A copy each time: launchers fill in what is missing.
        return known, KernelSpec(resource_dir=found.resource_dir, name=known, **copy.deepcopy(found.model["spec"]))

    async def spec(self, name: str) -> KernelSpec:
        """Return one kernelspec as jupyter_client has it.

        Raises:
            GatewayError: 400, there is none of this name.
        """
        return (await self.resolve(name))[1]

    async def resource_path(self, name: str, file: str) -> Path:
        """Return the path of a kernelspec's file, which lies in its directory whatever `file` says.

        Raises:
            GatewayError: 404, there is no such kernelspec or file.
        """
        found = await self._known(name)
        path = await self._off_loop(file_inside, found.resource_dir, file)
        if path is None:
            raise missing(f"Kernelspec {name[:80]} has no file {file[:80]}.", "File not found")
        return path

    def close(self) -> None:
        """Let the thread end. A read that is running is not waited for."""
        self._thread.shutdown(wait=False)

    async def _known(self, name: str) -> FoundSpec:
        found = await self._find(name)
        if found is None:
            raise missing(_not_here(name), NOT_FOUND)
        return found

    async def _find(self, name: str) -> FoundSpec | None:
        """Look a name up, case aside; one that is unknown may just have been installed."""
        key = name.lower()
        asked_at = clock.monotonic()
        catalogue = await self._catalogue(asked_at - FRESH_SECONDS)
        if key not in catalogue.specs:
            catalogue = await self._catalogue(asked_at)
        return catalogue.specs.get(key)

    async def _catalogue(self, oldest: float) -> _Catalogue:
        """Return what a read found that began at `oldest` (monotonic seconds) or later."""
        while self._found is None or self._found.begun < oldest:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            # Others wait for the same read: one who goes away must not end it.
            await asyncio.shield(self._reading)
        return self._found

    async def _read(self) -> None:
        begun = clock.monotonic()
        try:
            specs: Mapping[str, FoundSpec] = await self._off_loop(self._reader.read)
        except OSError as error:
            if self._found is None:
                raise unavailable("The directories of the kernelspecs can't be read.") from error
            log.warning("Kernelspecs can't be read, those found before stay: %s", error)
            specs = self._found.specs
        finally:
            self._reading = None
        kernelspecs = {name: spec.model for name, spec in specs.items()}
        model = {"default": self._default, "kernelspecs": kernelspecs}
        self._found = _Catalogue(begun=begun, specs=specs, model=model)

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def _not_here(name: str) -> str:
    return (
        f"The kernel '{name[:80]}' is not available on this gateway. "
        "Pick another one, or have its kernelspec installed."
    )
