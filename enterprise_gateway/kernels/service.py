"""The kernels of the deployment, as handlers ask for them: any replica, any kernel.

What is guaranteed: 404 is said only when the database surely says that the kernel is gone; a list is whole or refused;
an act that was begun goes on to its end, whoever stops to wait for it. Not: that an answer is newer than the last
flush of the replica that watches the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from enterprise_gateway.errors import being_shut_down, conflict, not_found, unavailable
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.models import kernel_model
from enterprise_gateway.kernels.openings import OpenedChannels, Openings
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.kernels.restarts import Restarts
from enterprise_gateway.kernels.starts import Starts
from enterprise_gateway.kernels.stops import Stops
from persistence.documents import KernelRecord
from persistence.errors import StoreUnavailable
from persistence.phases import Phase


class KernelService:
    """Kernels over REST and WebSocket. Every method raises `GatewayError`, or lets `StoreUnavailable` pass."""

    def __init__(
        self,
        parts: KernelParts,
        hydrator: Hydrator,
        openings: Openings,
        *,
        starts: Starts,
        restarts: Restarts,
        stops: Stops,
    ) -> None:
        self._parts = parts
        self._hydrator = hydrator
        self._openings = openings
        self._starts = starts
        self._restarts = restarts
        self._stops = stops

    async def start(self, request: StartRequest) -> dict[str, Any]:
        """Start a kernel, or find the one that this request has started before."""
        self._check_open()
        return self._model(await self._starts.start(request))

    async def list_models(self) -> list[dict[str, Any]]:
        """Return every living kernel of the deployment, or raise."""
        return [
            kernel_model(kernel, self._parts.membership.gone) for kernel in await self._parts.store.kernels.list_live()
        ]

    async def model(self, kernel_id: str) -> dict[str, Any]:
        """Return one kernel.

        Raises:
            GatewayError: 404, it is gone.
        """
        return self._model(await self.live_record(kernel_id))

    async def interrupt(self, kernel_id: str) -> None:
        """Interrupt what the kernel runs; also while the database is away, where this replica holds the kernel.

        Raises:
            GatewayError: 404 it is gone; 409 it is still starting, which an interrupt would end, or has just died; 503
                out of reach.
        """
        held, _ = await self._held(kernel_id)
        if held.manager is None:
            raise conflict(
                "The kernel is not running yet; an interrupt would end it. Wait until it is.", "Kernel is starting"
            )
        await self._parts.managers.interrupt(held.manager)

    async def restart(self, kernel_id: str) -> dict[str, Any]:
        """Restart the kernel; a restart that is at work already is waited for instead.

        Raises:
            GatewayError: 404 gone; 409 starting or being shut down; 503 out of reach; 500 or 504 it did not come up.
        """
        self._check_open()
        return self._model(await self._restarts.restart(await self.live_record(kernel_id)))

    async def shutdown(self, kernel_id: str) -> None:
        """End the kernel and wait until it has ended.

        Raises:
            GatewayError: 404 gone; 503 out of reach, or it can't be ended.
        """
        if not await self._stops.shutdown_owned(kernel_id):
            await self._stops.shutdown(await self.live_record(kernel_id))

    async def open_channels(self, kernel_id: str, session_id: str | None) -> OpenedChannels:
        """Hold the kernel for a client's WebSocket.

        The opening is acknowledged by the database before this returns, so that no cull that was read before can
        follow; the wait for it is short, and there is none while the database is known to be away.

        Raises:
            GatewayError: 404 gone; 409 being shut down; 503 out of reach, no room for a client, or this replica leaves.
        """
        self._check_open()
        self._parts.managers.headroom.check_for_client()
        first = await self._open_first(kernel_id, session_id)
        if first is not None:
            return first
        held, record = await self._held(kernel_id)
        await held.bind()
        return await self._openings.open(held, record, session_id)

    async def _open_first(self, kernel_id: str, session_id: str | None) -> OpenedChannels | None:
        held = self._parts.held.get(kernel_id)
        if held is None or not (held.unvisited and held.owned and held.bound and self._parts.store.available):
            return None
        return await self._openings.open_first(held, session_id)

    async def live_record(self, kernel_id: str) -> KernelRecord:
        """Return the record of a living kernel.

        Raises:
            GatewayError: 404, the database surely says that it is gone.
        """
        record = await self._parts.store.kernels.get(kernel_id)
        if record is None or not record.live:
            record = await self._parts.store.kernels.get_surely(kernel_id)
        if record is None or not record.live:
            raise not_found(kernel_id)
        return record

    async def _held(self, kernel_id: str) -> tuple[HeldKernel, KernelRecord | None]:
        """Return the kernel held here, else hydrate it; what is held is enough while the database is away.

        With it its record as it was just read.
        """
        try:
            record = await self.live_record(kernel_id)
        except StoreUnavailable:
            held = self._parts.held.get(kernel_id)
            if held is None or held.manager is None:
                raise
            return held, None
        if record.phase == Phase.STOPPING.value:
            raise being_shut_down()
        return await self._hydrator.hydrate(record), record

    def _check_open(self) -> None:
        if self._parts.work.closed:
            raise unavailable("This replica is being stopped; another one serves you. Try again.", "Gateway stops")

    def _model(self, record: KernelRecord) -> dict[str, Any]:
        held = self._parts.held.get(record.kernel_id)
        if held is not None and held.owned and held.generation == record.generation:
            # Its owner knows before it has written it. Lists are the database's alone, the same on every replica.
            record = replace(record, execution_state=held.activity.execution_state or record.execution_state)
        return kernel_model(record, self._parts.membership.gone)
