"""One replica: what it is made of, in the order in which it starts, works and leaves. Decides nothing by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any

from culling.chronicle import Chronicle
from culling.leader import Leader
from culling.membership import Membership
from enterprise_gateway.banner import patience
from enterprise_gateway.handlers.services import Check
from enterprise_gateway.kernels.flushing import Flusher
from enterprise_gateway.kernels.noticing import Noticing
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.service import KernelService
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.memory import give_back_for_ever
from persistence import clock
from persistence.errors import PersistenceError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

# While the relay closes its WebSockets the close frames need a moment to leave; nothing waits longer for it.
CLOSING_SECONDS = 0.2
GOING = (1012, "The gateway is being stopped; connect again")
# A client that was sent away comes back at once (JupyterLab) or within 1 to 5 s (Jupyter Server, at its second try).
# Who went before that, or stays away longer, is not waited for: a page that was closed should not delay each stop.
RETURN_SECONDS = 6.0
LOOK_SECONDS = 0.05
TRIM_SECONDS = 15.0
# After a look, at least; and as a multiple of how long it took.
LEAST_REST_SECONDS, RESTS = 0.1, 9


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often a replica does its duties, in seconds."""

    look_interval_seconds: float
    flush_interval_seconds: float
    drain_timeout_seconds: float


class Replica:
    """The life of one replica after its parts were built.

    Attributes:
        draining: Has it been told to stop?
    """

    def __init__(
        self,
        *,
        store: KernelSessionManager,
        membership: Membership,
        parts: KernelParts,
        kernels: KernelService,
        flusher: Flusher,
        noticing: Noticing,
        ownership: Ownership,
        leader: Leader,
        chronicle: Chronicle,
        rhythm: Rhythm,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self.store = store
        self.membership = membership
        self.parts = parts
        self.kernels = kernels
        self.flusher = flusher
        self.noticing = noticing
        self.ownership = ownership
        self.leader = leader
        self.chronicle = chronicle
        self.rhythm = rhythm
        self.log = log
        self.draining = False
        self._look_now = asyncio.Event()

    @property
    def background(self) -> Background:
        """Its guarded tasks."""
        return self.parts.background

    def start(self) -> None:
        """Begin the duties. The replica is registered by now."""
        self.background.forever("beat", self._beat)
        self.background.forever("flush", self._flush)
        self.background.forever("look", self._look)
        self.background.forever("hints", self._hints)
        self.background.forever("kernel logs", self._trim_logs)
        self.background.forever("silent kernels", self._ask_silent)
        self.background.forever("memory", lambda: give_back_for_ever(lambda: len(self.parts.held)))
        self.background.forever("events", self.chronicle.tell_for_ever)
        self.background.forever("lead", self.leader.lead_for_ever)

    async def drain(self, *, stop_kernels: bool) -> int:
        """Leave: no new work, clients told to come back elsewhere, activity written, kernels left running.

        Args:
            stop_kernels: End the kernels that this replica owns instead of leaving them.

        Returns:
            How many kernels it has left running.
        """
        self.draining = self.parts.work.closed = True
        deadline = clock.Deadline(self.rhythm.drain_timeout_seconds)
        if not stop_kernels:  # else they are told first that their kernels have ended
            self._send_clients_away()
        await self._try("say that it drains", self.membership.drain())
        await self._finish_acts(deadline)
        self.parts.changes.close()
        if stop_kernels:
            await self._stop_owned(deadline)
            self._send_clients_away()
        left = [held for held in self.parts.held if held.owned]
        await clock.sleep(CLOSING_SECONDS)
        await self._hand_over(deadline)
        await self.background.stop()
        for held in self.parts.held:
            held.relay.close(*GOING)
            held.release()
        await self._try("write its activity", self.flusher.flush())
        await self._try("release its kernels", self._release())
        await self._try("tell what it has done", self.chronicle.tell())
        await self._try("beat last", self.membership.last_beat())
        return len(left)

    def _send_clients_away(self) -> None:
        for held in self.parts.held:
            held.relay.send_away(*GOING)

    async def _hand_over(self, deadline: clock.Deadline) -> None:
        """Go on hearing the kernels for the clients that were sent away, until each has come to another replica."""
        while self.membership.others_ready and not deadline.passed:
            if not any(held.relay.owes(RETURN_SECONDS) for held in self.parts.held):
                return
            await clock.sleep(LOOK_SECONDS)

    async def _release(self) -> None:
        replica = self.membership.replica_id
        await self.store.kernels.release(replica, now=self.store.clock.latest_now())

    async def _finish_acts(self, deadline: clock.Deadline) -> None:
        tasks = self.parts.work.tasks
        if tasks:
            self.log.info(patience(len(tasks), deadline.remaining_seconds))
            await asyncio.wait(tasks, timeout=max(0.0, deadline.remaining_seconds))

    async def _stop_owned(self, deadline: clock.Deadline) -> None:
        owned = [held.kernel_id for held in self.parts.held if held.owned]
        stops = [asyncio.ensure_future(self.kernels.shutdown(kernel_id)) for kernel_id in owned]
        if not stops:
            return
        done, _ = await asyncio.wait(stops, timeout=max(0.0, deadline.remaining_seconds))
        for stop in done:
            if stop.exception() is not None:
                self.log.warning("A kernel could not be ended: %s", stop.exception())

    async def _try(self, what: str, work: Any) -> None:
        try:
            await work
        except StoreUnavailable as error:
            self.log.warning("The replica could not %s: %s", what, error)

    async def _beat(self) -> None:
        while True:
            await self.membership.beat_once(self.flusher.flush)
            await clock.sleep(self.membership.next_beat_seconds())

    async def _flush(self) -> None:
        while True:
            await self.flusher.wait(self.rhythm.flush_interval_seconds)
            await self._quietly(self.flusher.flush())

    async def _look(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.rhythm.look_interval_seconds):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            began = clock.monotonic()
            await self._quietly(self.noticing.look())
            # One look sees many changes; and however many kernels there are, it is a small part of a replica's work.
            rest = max(LEAST_REST_SECONDS, RESTS * (clock.monotonic() - began))
            await clock.sleep(min(rest, self.rhythm.look_interval_seconds))

    async def _ask_silent(self) -> None:
        while True:
            await clock.sleep(self.parts.settings.silent_seconds / 4)
            self.ownership.ask_silent()

    async def _trim_logs(self) -> None:
        while True:
            await clock.sleep(TRIM_SECONDS)
            await self.ownership.trim_logs()

    async def _hints(self) -> None:
        """Look at once when the database tells of a change by others, where it does tell."""
        async for _ in self.store.kernel_hints(self.membership.replica_id):
            self._look_now.set()

    async def _quietly(self, work: Any) -> None:
        """The database may be away or refuse something, or the host be short of something; the next turn comes."""
        try:
            await work
        except StoreUnavailable as error:
            self.log.debug("Later: %s", error)
        except (PersistenceError, OSError) as error:
            self.log.warning("Later: %s", error)


class Health:
    """What the replica knows of its own health, without asking anybody."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def alive(self) -> list[Check]:
        """Are beats or renewals still attempted? That they fail while the database is away changes nothing here."""
        replica = self._replica
        attempts = (replica.membership.seconds_since_attempt, replica.leader.seconds_since_attempt)
        seconds = min((since for since in attempts if since is not None), default=0.0)
        late = seconds > replica.membership.timings.lease_duration_seconds and not replica.draining
        message = f"no beat or renewal was attempted for {seconds:.0f} s" if late else ""
        return [Check(name="beat", ok=not late, message=message)]

    def ready(self) -> list[Check]:
        """Can requests be served?"""
        replica = self._replica
        broken = ", ".join(sorted(replica.background.broken))
        return [
            Check(name="database", ok=replica.store.available, message="" if replica.store.available else "away"),
            Check(name="serving", ok=not replica.draining, message="draining" if replica.draining else ""),
            Check(name="tasks", ok=not broken, message=f"ended: {broken}" if broken else ""),
        ]
