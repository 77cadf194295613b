"""A kernel as this replica holds it: how to reach its present generation, its clients here, its activity.

Nothing here is the truth about a kernel, the record is; this is what was needed to serve it, and may be dropped and
hydrated again at any time without the kernel noticing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import zmq

from enterprise_gateway.errors import no_room
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.kernel_manager import GatewayKernelManager
from enterprise_gateway.relay.first_cell import IPYKERNEL
from enterprise_gateway.relay.interfaces import KernelStatus
from enterprise_gateway.relay.relay import Relay
from persistence.documents import KernelNotice, KernelRecord

# What clients are told when their kernel has died and is restarted: Jupyter's clients understand just that, and
# JupyterLab opens a dialog that says so. So it is not what they are told when somebody restarts it.
AUTOMATIC_RESTART = "restarting"
REQUESTED_RESTART = "starting"
# Kernels known to give their replies to the newest of two sockets of one identity: what calls itself so is ipykernel.
HANDING_OVER = frozenset({IPYKERNEL})


class HeldKernel:
    """One kernel, across its generations.

    Attributes:
        kernel_id: The kernel.
        generation: The one that is served now; 0 while none is.
        manager: Its kernel manager; None while none is.
        owned: Does this replica watch the kernel?
        hands_over: Does the kernel give replies to the newest of two sockets of one identity?
        claiming: Held while a connection of a client's session is recorded.
        recorded_state: Busy or idle as the record said when it was last read; None where it did not know.
        unvisited: Has it been brought up here, and was no client's session with it, as far as is known?
    """

    def __init__(
        self,
        kernel_id: str,
        *,
        activity: Activity,
        new_relay: Callable[[HeldKernel], Relay],
    ) -> None:
        self.kernel_id = kernel_id
        self.activity = activity
        self.generation = 0
        self.manager: GatewayKernelManager | None = None
        self.connection: Mapping[str, Any] | None = None
        self.hands_over = False
        self.owned = False
        self.recorded_state: str | None = None
        self.unvisited = False
        self.watch: asyncio.Task[None] | None = None
        self.probe: asyncio.Task[None] | None = None
        self.hydrating = asyncio.Lock()
        self.claiming = asyncio.Lock()
        self.relay = new_relay(self)
        self._binding = asyncio.Lock()

    async def serve(
        self,
        generation: int,
        manager: GatewayKernelManager,
        connection: Mapping[str, Any],
        kernel_info: Mapping[str, Any] | None = None,
    ) -> None:
        """Serve this generation from now on; an older one than is served already changes nothing."""
        if generation <= self.generation:
            return
        self.generation = generation
        self.manager = manager
        self.connection = connection
        self.hands_over = (kernel_info or {}).get("implementation") in HANDING_OVER
        if self.owned or self.relay.in_use:
            await self.bind()

    @property
    def bound(self) -> bool:
        """Is the relay connected to the generation that is served, if one is?"""
        return self.connection is None or self.relay.generation == self.generation

    async def bind(self) -> None:
        """See to it that the relay is connected to the generation that is served.

        Raises:
            GatewayError: 503, there is no room for its sockets.
        """
        async with self._binding:
            if self.connection is None or self.bound:
                return
            try:
                await self.relay.bind(self.connection, self.generation, hands_over=self.hands_over)
            except zmq.ZMQError as error:
                raise no_room("The gateway can't open a connection to the kernel now. Try again.") from error

    def foreign(self, process: Mapping[str, Any] | None) -> GatewayKernelManager | None:
        """Return what serves this process, if by a foreign provisioner: then nothing else may be able to end it."""
        if self.manager is None or self.manager.is_local or process is None:
            return None
        return self.manager if process.get("generation") == self.generation else None

    def give_up(self, process: Mapping[str, Any] | None) -> GatewayKernelManager | None:
        """Serve and watch no longer what is to be ended; return what has served this process, to end it.

        A local one is the caller's alone from then on. One by a foreign provisioner stays, see `foreign`.
        """
        self.release()
        if self.manager is None or process is None or not self.manager.is_local:
            return self.foreign(process)
        if self.manager.process != process:
            return None
        manager, self.manager = self.manager, None
        return manager

    def pause(self, record: KernelRecord | KernelNotice) -> None:
        """Another generation is coming, or has come: clients are told, what they had asked is answered `aborted`.

        Args:
            record: Of that generation: it says whether somebody wants it, or the one before has died, and how.
        """
        self.release()
        self._let_go()
        if self.relay.generation is None:
            return  # told before: what clients have sent since waits for the next generation, and is no open request
        if record.restarts:
            self.relay.unbind(AUTOMATIC_RESTART, record.reason)
        else:
            self.relay.unbind(REQUESTED_RESTART)
        self.activity.new_generation(None)

    @property
    def watched(self) -> bool:
        """Is the generation that is served watched here, or its death being dealt with?"""
        return self.owned and self.watch is not None and not self.watch.done()

    def known_idle(self, generation: int) -> bool:
        """Is this generation watched here, and seen to run nothing?"""
        return self.owned and self.generation == generation and self.activity.execution_state == "idle"

    def release(self) -> None:
        """Stop watching the kernel: it is another's."""
        self.owned = False
        for duty in (self.watch, self.probe):
            if duty is not None:
                duty.cancel()
        self.watch = self.probe = None

    def end(self, reason: str | None) -> None:
        """The kernel is gone: its clients are told, nothing is watched any more."""
        self.release()
        self._let_go()
        self.relay.end("dead", reason)

    def _let_go(self) -> None:
        """Give back the descriptors of the generation that was served."""
        if self.manager is not None:
            self.manager.close()
        self.manager = self.connection = None

    # The relay's listener

    @property
    def execution_state(self) -> str | None:
        """What clients are told when they come: the last known state, None while unknown."""
        return self.activity.execution_state or self.recorded_state

    def kernel_status(self, status: KernelStatus) -> None:
        """The kernel sent a status."""
        own = status.own or status.control
        self.activity.status(
            status.execution_state, parent_id=status.parent_id, parent_type=status.parent_type, own=own
        )

    def kernel_output(self) -> None:
        """The kernel sent something else."""
        self.activity.touch()

    def client_message(self) -> None:
        """A client sent something."""
        self.activity.touch()

    def opening(self) -> int:
        """Count a WebSocket that is about to open, and give the number of this change. `settle` follows in any case.

        Doing it again gives a higher number to the same count.
        """
        return self.activity.connections_are(self.relay.client_count + 1)

    def settle(self) -> None:
        """Count the WebSockets that are open."""
        self.clients_changed(self.relay.client_count)

    def clients_changed(self, count: int) -> None:
        """WebSockets were opened or closed here."""
        if count != self.activity.connections:
            self.activity.connections_are(count)


class HeldKernels:
    """The kernels that this replica holds, by id."""

    def __init__(self) -> None:
        self._kernels: dict[str, HeldKernel] = {}

    def get(self, kernel_id: str) -> HeldKernel | None:
        """The kernel if it is held."""
        return self._kernels.get(kernel_id)

    def add(self, held: HeldKernel) -> None:
        """Hold a kernel from now on."""
        self._kernels[held.kernel_id] = held

    def drop(self, kernel_id: str) -> HeldKernel | None:
        """Hold it no longer; returns what was held."""
        return self._kernels.pop(kernel_id, None)

    def __iter__(self) -> Iterator[HeldKernel]:
        return iter(list(self._kernels.values()))

    def __len__(self) -> int:
        return len(self._kernels)

    @property
    def ids(self) -> list[str]:
        """The ids of all held kernels."""
        return list(self._kernels)

    @property
    def connections(self) -> int:
        """How many WebSockets are open on this replica."""
        return sum(held.relay.client_count for held in self._kernels.values())
