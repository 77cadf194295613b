"""Starting a kernel for a client: its record first, then the launch; a repeat of a request finds its first one's.

The start is a task of its own. A client who goes away withdraws it, unless he can come back for it by an id or a key.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.authorization import UserPolicy
from enterprise_gateway.errors import GatewayError, bad_request, conflict
from enterprise_gateway.kernels.acts import ActLost
from enterprise_gateway.kernels.kernel_manager import refuse_process_proxies
from enterprise_gateway.kernels.launch_env import filter_request_env
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.records import Wanted, new_record
from enterprise_gateway.kernels.requests import StartRequest, cull_timeout_seconds, launch_timeout_seconds, stable_env
from enterprise_gateway.kernels.slots import insert_within_limits
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.stops import Stops
from enterprise_gateway.kernels.takeover import LEFT_UNDONE, Takeover
from enterprise_gateway.kernels.waiting import until_answered, wait_until
from enterprise_gateway.kernels.work import Work, outcome
from enterprise_gateway.kernelspecs import SpecService
from enterprise_gateway.provisioners.errors import ProcessProxyUnsupported
from persistence import clock, steps
from persistence.documents import KernelRecord
from persistence.errors import DuplicateKey, StoreUnavailable
from persistence.phases import Phase

# A lost race for an id or a key is looked at again; each turn finds what the winner wrote.
RACES = 10


class Starts:
    """Start requests of this replica's clients."""

    def __init__(
        self,
        parts: KernelParts,
        specs: SpecService,
        users: UserPolicy,
        acts: StartActs,
        takeover: Takeover,
        stops: Stops,
    ) -> None:
        self._parts = parts
        self._specs = specs
        self._users = users
        self._acts = acts
        self._takeover = takeover
        self._stops = stops

    async def start(self, request: StartRequest) -> KernelRecord:
        """Start a kernel.

        Where this is cancelled, or the database leaves it in doubt whether the launch has begun, a request that can't
        be repeated is withdrawn: what comes up all the same is stopped.

        Raises:
            GatewayError: 400 unknown kernelspec or bad timeout; 403 a user's or a limit's; 409 the id or key is another
                request's; 500 it did not come up; 503 no room for it; 504 not in time.
            StoreUnavailable: The database is away.
        """
        wanted = await self._wanted(request)
        work = Work(kernel_id="")
        # A write that is cancelled is made all the same: so what began to write goes on, and is told to stop instead.
        task = self._parts.background.act("start of a kernel", self._find_or_launch(wanted, work))
        try:
            return await outcome(task, work.doubt)
        except (asyncio.CancelledError, StoreUnavailable):
            if not request.repeatable:
                work.stop.set()
                self._parts.background.once("withdrawal of a start", self._withdraw(task))
            raise

    async def _withdraw(self, start: asyncio.Task[KernelRecord]) -> None:
        """End what came up all the same: the last steps of a launch do not ask whether it is wanted."""
        await asyncio.wait({start})
        if start.cancelled() or start.exception() is not None:
            return
        record = start.result()
        try:
            await until_answered(lambda: self._stops.shutdown(record))
        except GatewayError as error:
            self._parts.log.warning("Kernel %s, whose client has gone, runs on: %s", record.kernel_id, error)

    async def _wanted(self, request: StartRequest) -> Wanted:
        name, spec = await self._specs.resolve(request.name)
        self._users.check(request.username, spec.display_name, spec.metadata)
        refuse_unlaunchable(spec, name)
        env = filter_request_env(request.env, client_envs=self._parts.settings.client_envs)
        seconds = launch_timeout_seconds(env, self._parts.settings.launch_timeout_seconds)
        deadline = clock.Deadline(seconds, since=request.arrived_boottime)
        return Wanted(
            request=request,
            name=name,
            spec=spec,
            env=env,
            timeout_seconds=seconds,
            deadline=deadline,
            cull_timeout_seconds=cull_timeout_seconds(env) if self._parts.settings.own_cull_timeout else None,
        )

    async def _find_or_launch(self, wanted: Wanted, work: Work) -> KernelRecord:
        for _ in range(RACES):
            former = await self._former(wanted.request)
            try:
                if former is not None and former.live:
                    return await self._repeat(former, wanted)
                self._check_reuse(former, wanted.request)
                self._parts.admission.check(wanted.request.username, wanted.deadline)
                await self._parts.managers.headroom.check_for_kernel()
                record = await self._insert(wanted, former, work.doubt)
            except (DuplicateKey, ActLost):
                continue
            return await self._launch(record, wanted, work)
        raise conflict("Others use the same kernel id or Idempotency-Key at the same time; try again.")

    async def _former(self, request: StartRequest) -> KernelRecord | None:
        """Return what an earlier request with the same key or id has left."""
        if request.idempotency_key is not None:
            found = await self._parts.store.kernels.find_by_key(request.username, request.idempotency_key)
            if found is not None:
                return found
        if request.kernel_id is not None:
            return await self._parts.store.kernels.get(request.kernel_id)
        return None

    def _check_reuse(self, former: KernelRecord | None, request: StartRequest) -> None:
        """May an ended record be started anew? An id by its own user; a key names one request for ever."""
        if former is None:
            return
        if request.idempotency_key is not None and former.request.key == request.idempotency_key:
            raise conflict(
                "The kernel that this Idempotency-Key started has ended; use a new key to start another.",
                "Idempotency-Key was used",
            )
        if former.username != request.username:
            raise id_taken(former.kernel_id)
        if former.request.key is not None and request.idempotency_key is not None:
            raise id_taken(former.kernel_id)  # the record can remember one key, and each names one request for ever

    async def _repeat(self, record: KernelRecord, wanted: Wanted) -> KernelRecord:
        """Answer a repeat with the kernel of the first request, when that is ready."""
        asked = (wanted.request.username, wanted.name, wanted.request.path)
        if (record.username, record.kernel_name, record.request.path) != asked:
            raise id_taken(record.kernel_id)
        if stable_env(self._parts.managers.request_env(record)) != stable_env(wanted.env):
            raise id_taken(record.kernel_id)
        if self._parts.settings.answer_before_ready:
            return record
        return await self._settled(record, wanted.deadline)

    async def _settled(self, record: KernelRecord, deadline: clock.Deadline) -> KernelRecord:
        """Wait until the first request's launch is over; finish it where its actor has left it.

        Raises:
            ActLost: It was left and had to be ended, so that this request may start it anew.
        """

        def settled(found: KernelRecord | None) -> bool:
            starting = (Phase.QUEUED.value, Phase.LAUNCHING.value)
            return found is None or found.phase not in starting or self._takeover.overdue(found)

        found, done = await wait_until(self._parts.store, self._parts.changes, record.kernel_id, settled, deadline)
        if found is not None and found.reason == LEFT_UNDONE:
            raise ActLost("wait for a launch", found)  # somebody else ended it; this request has time of its own
        if found is None or not found.live:
            reason = found.reason if found is not None and found.reason else "it has ended"
            raise GatewayError(500, "Kernel did not start", f"The kernel did not start: {reason}")
        if self._takeover.overdue(found):
            return await self._finish(found)
        if not done:
            raise GatewayError(504, "Kernel did not start in time", "The kernel is still starting. Try again.")
        return found

    async def _finish(self, record: KernelRecord) -> KernelRecord:
        """Finish the first request's launch; raises `ActLost` where it had to be ended, for this one to start anew."""
        try:
            return await self._takeover.finish(record)
        except GatewayError as error:
            if error.status == 404:
                raise ActLost("finish of a launch", None) from error
            raise

    async def _insert(self, wanted: Wanted, former: KernelRecord | None, doubt: asyncio.Event) -> KernelRecord:
        anew = new_record(wanted, self._parts)
        if former is not None and anew.request.key is None:
            # The ended one's key names its request for ever, also when its id is used again.
            anew = replace(anew, request=replace(anew.request, key=former.request.key))

        async def insert(record: KernelRecord) -> KernelRecord:
            if former is None or record.act is None:
                await self._parts.acts.insert(record, give_up=wanted.deadline, doubt=doubt)
                return record
            step = steps.revive(former, record)
            return await self._parts.acts.claim(step, record.act, give_up=wanted.deadline, doubt=doubt)

        return await insert_within_limits(self._parts.store.kernels, anew, self._parts.settings.limits, insert)

    async def _launch(self, record: KernelRecord, wanted: Wanted, work: Work) -> KernelRecord:
        work.kernel_id, work.generation = record.kernel_id, record.generation
        task = self._parts.background.act(
            f"launch of kernel {record.kernel_id}", self._acts.launch(record, work, wanted.deadline)
        )
        self._parts.work.add(work, task)
        return record if self._parts.settings.answer_before_ready else await task


def id_taken(kernel_id: str) -> GatewayError:
    """409: the id or key names a kernel that was started by a different request."""
    return conflict(
        f"Kernel {kernel_id} was started by another request, with other settings or for another user. "
        "Use a new id or key.",
        "Kernel id is taken",
    )


def refuse_unlaunchable(spec: KernelSpec, name: str) -> None:
    """Refuse a kernelspec that this gateway can't launch, before anything is written.

    Raises:
        GatewayError: 400, it asks for one of Enterprise Gateway's process proxies that does not exist here.
    """
    try:
        refuse_process_proxies(spec, name)
    except ProcessProxyUnsupported as error:
        raise bad_request(str(error), "Kernelspec not supported") from error
