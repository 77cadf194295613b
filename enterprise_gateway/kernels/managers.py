"""From records to kernel managers and back: what is sealed is opened here, what is launched is sealed here.

Nothing here writes a record. Whatever can't be reached or opened is said in one way, wherever it is met: 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from logging import Logger, LoggerAdapter
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from traitlets import TraitError

from culling.membership import Membership
from enterprise_gateway.errors import GatewayError, bad_request, conflict, no_room, unavailable
from enterprise_gateway.kernels import ending
from enterprise_gateway.kernels.headroom import Headroom
from enterprise_gateway.kernels.kernel_manager import (
    LOCAL_PROVISIONERS,
    GatewayKernelManager,
    provisioner_name,
    spec_from,
)
from enterprise_gateway.kernels.launch_env import LaunchIdentity, build_env, working_directory
from enterprise_gateway.kernels.settings import KernelSettings
from enterprise_gateway.kernels.turns import Turns
from enterprise_gateway.provisioners.errors import EnvironmentTooLong, KernelOnOtherHost, NoRoom, ProvisioningError
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalProvisioner, LocalSettings
from enterprise_gateway.relay import probe
from enterprise_gateway.relay.sockets import Context
from enterprise_gateway.shortage import shortage
from persistence import faults, steps
from persistence.documents import KernelCandidate, KernelNotice, KernelRecord, Step
from persistence.errors import SealingKeyMissing
from persistence.kernel_session_manager import KernelSessionManager

# What a kernelspec, a full disk, too few descriptors or a foreign provisioner may raise while a kernel is brought up.
LAUNCH_ERRORS = (ProvisioningError, OSError, MemoryError, ValueError, TraitError, zmq.ZMQError)
INTERRUPT_SECONDS = 5.0
OBITUARY_LINES = 12
# What an idle ipykernel takes on a machine that is busy with a few of them. All at once take turns at IPython's history
# instead, one file for all of a user's: those who find it locked look again later and later.
ENDING_SECONDS = 0.1
END_PATIENCE_SECONDS = 1.0


class LaunchFailed(Exception):
    """The kernel did not come up.

    Attributes:
        answer: What the client is told.
    """

    def __init__(self, answer: GatewayError) -> None:
        super().__init__(answer.message)
        self.answer = answer


class ProcessGone(Exception):
    """The kernel's process is provably gone: this is its host, and it is not there.

    Attributes:
        manager: Its manager all the same, with what the process has left.
    """

    def __init__(self, manager: GatewayKernelManager) -> None:
        super().__init__("the kernel's process is gone")
        self.manager = manager


class Managers:
    """Makes kernel managers for this replica.

    Attributes:
        headroom: Is there room for what is new?
    """

    def __init__(
        self,
        *,
        store: KernelSessionManager,
        membership: Membership,
        local: LocalSettings,
        settings: KernelSettings,
        context: Context,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._membership = membership
        self._local = local
        self._settings = settings
        self._context = context
        self._log = log
        self.headroom = Headroom(local.directories)
        self._ends = Turns(
            settings.max_concurrent_launches, seconds=ENDING_SECONDS, patience_seconds=END_PATIENCE_SECONDS
        )

    @property
    def host(self) -> HostIdentity:
        """This host."""
        return self._local.host

    # What a record holds

    def seal(self, kernel_id: str, value: Mapping[str, Any]) -> bytes:
        """Seal a secret with a key that all live replicas have.

        Raises:
            SealingKeyMissing: There is no such key.
        """
        return self._store.sealer.seal(kernel_id, value, self._membership.usable_key_ids())

    def request_env(self, record: KernelRecord) -> dict[str, str]:
        """Return the (filtered) env of the request that started the kernel."""
        return {str(key): str(value) for key, value in self._unseal(record, record.request.env).items()}

    def reaches(self, kernel: KernelRecord | KernelNotice | KernelCandidate) -> bool:
        """Can this replica reach the kernel?"""
        return kernel.host is None or kernel.host.id == self.host.id

    def check_reach(self, record: KernelRecord) -> None:
        """See that this replica can reach the kernel and open its secrets. Before a claim: an act needs both.

        Raises:
            GatewayError: 503, it is a process of another host, which is named; or this replica lacks its sealing key.
        """
        if record.host is not None and not self.reaches(record):
            raise elsewhere(record.host.name)
        for blob in (record.request.env, record.connection, record.provisioner_info):
            self._unseal(record, blob)

    def _unseal(self, record: KernelRecord, blob: bytes | None) -> dict[str, Any]:
        if blob is None:
            return {}
        try:
            return self._store.sealer.unseal(record.kernel_id, blob)
        except SealingKeyMissing as error:
            raise unavailable(
                "This replica lacks the key that the kernel's secrets are sealed with. "
                "Give all replicas the same EG_SEALING_KEYS.",
                "Sealing key is missing",
            ) from error

    # Launching

    def gated(self, record: KernelRecord) -> bool:
        """Does what is launched do nothing before it is recorded?"""
        return provisioner_name(record.kernelspec.get("metadata", {})) in LOCAL_PROVISIONERS

    async def launched(self, record: KernelRecord) -> GatewayKernelManager:
        """Launch the generation that the record names, up to its gate.

        Raises:
            LaunchFailed: It can't be launched; nothing is left of it.
        """
        spec = spec_from(record.kernelspec)
        manager = self._new(record, spec, record.generation)
        environment = build_env(
            spec_env=spec.env,
            spec_language=spec.language,
            request_env=self.request_env(record),
            gateway_environ=self._settings.inherited,
            inherited_envs=self._settings.inherited,
            identity=LaunchIdentity(
                kernel_id=record.kernel_id,
                generation=record.generation,
                deployment_id=self._store.deployment_id,
                username=record.username,
            ),
        )
        cwd = await working_directory(
            environment, mirror_working_dirs=self._settings.mirror_working_dirs, home=self._settings.home
        )
        try:
            await manager.prepare(env=environment, cwd=cwd)
            faults.reach("prepared", record.kernel_id)
            await manager.launch()
            faults.reach("forked", record.kernel_id)
        except LAUNCH_ERRORS as error:
            await self.abandon(manager)
            raise LaunchFailed(cannot_launch(error)) from error
        return manager

    async def store_process_step(self, record: KernelRecord, manager: GatewayKernelManager) -> Step:
        """Return the step that records what was launched."""
        local = isinstance(manager.provisioner, LocalProvisioner)
        return steps.store_process(
            record,
            process=manager.process or {"generation": record.generation},
            connection=self.seal(record.kernel_id, manager.connection()),
            provisioner_name=provisioner_name(manager.kernel_spec.metadata),
            provisioner_info=self.seal(record.kernel_id, await manager.provisioner_info()),
            host=self._local.host.to_doc() if local else None,
        )

    # Taking over

    async def restored(self, record: KernelRecord) -> GatewayKernelManager:
        """Return a manager of the generation whose process the record names.

        Raises:
            GatewayError: 503, it can't be reached from here, or not opened.
            ProcessGone: Its process is not there any more.
        """
        manager = await self._restore(record)
        if isinstance(manager.provisioner, LocalProvisioner) and not manager.provisioner.has_process:
            raise ProcessGone(manager)
        return manager

    async def check_restorable(self, record: KernelRecord) -> None:
        """See that a manager of what the record names can be made here.

        Raises:
            GatewayError: 503, as `restored`.
        """
        (await self._restore(record)).close()

    async def _restore(self, record: KernelRecord) -> GatewayKernelManager:
        self.check_reach(record)
        info = self._unseal(record, record.provisioner_info)
        connection = self._unseal(record, record.connection)
        spec = spec_from(record.kernelspec)
        manager = self._new(record, spec, int(info.get("generation", record.generation)))
        try:
            await manager.restore(info, connection)
        except KernelOnOtherHost as error:
            raise elsewhere(record.host.name if record.host else "another host") from error
        except ProvisioningError as error:
            raise unavailable(str(error), "Kernel can't be reached") from error
        return manager

    def _new(self, record: KernelRecord, spec: KernelSpec, generation: int) -> GatewayKernelManager:
        return GatewayKernelManager(
            local=self._local,
            spec=spec,
            kernel_id=record.kernel_id,
            kernel_name=record.kernel_name,
            generation=generation,
            context=zmq.asyncio.Context.shadow(self._context),
            log=self._log,
        )

    # Using and ending

    async def interrupt(self, manager: GatewayKernelManager) -> None:
        """Interrupt a kernel in the way its kernelspec wants.

        Raises:
            GatewayError: 409, its process is gone, which nobody has told yet; 503, it took no notice of the message.
        """
        if manager.provisioner is None or await manager.provisioner.poll() is not None:
            raise conflict("The kernel has just died; there is nothing to interrupt.", "Kernel has died")
        if await manager.interrupt():
            return
        try:
            await probe.interrupt_request(manager.connection(), timeout_seconds=INTERRUPT_SECONDS)
        except TimeoutError as error:
            raise unavailable("The kernel did not answer the interrupt.", "Kernel does not answer") from error

    async def end_former(
        self, record: KernelRecord, *, graceful: bool, foreign: GatewayKernelManager | None = None
    ) -> None:
        """End the process of the generation before, which the record names, see it dead, remove its files.

        Args:
            record: As the claim returned it.
            graceful: Is it a kernel that can be asked to end?
            foreign: What serves it here, where it may be that no other object can.

        Raises:
            EndFailed: It still exists.
            GatewayError: 503, it can't be reached.
        """
        await self._end(foreign or await self._restore(record), graceful=graceful, restart=True)

    async def end_present(
        self, record: KernelRecord, *, serving: GatewayKernelManager | None = None, idle: bool = False
    ) -> None:
        """End the process that the record names, if it names any, and see it dead.

        Args:
            record: As the claim returned it.
            serving: What has served it here, if anything has.
            idle: Is it known to run nothing?

        Raises:
            EndFailed: It still exists.
            GatewayError: 503, it can't be reached.
        """
        if record.process is not None or record.former is not None:
            await self._end(serving or await self._restore(record), graceful=True, restart=False, idle=idle)

    async def _end(self, manager: GatewayKernelManager, *, graceful: bool, restart: bool, idle: bool = False) -> None:
        async with self._ends.taken() if manager.is_local else nullcontext():
            await ending.end_kernel(
                manager,
                graceful=graceful,
                grace_seconds=self._settings.shutdown_wait_seconds,
                restart=restart,
                idle=idle,
            )
        faults.reach("seen dead", manager.kernel_id)
        await self.discard(manager)

    async def obituary(self, manager: GatewayKernelManager) -> str:
        """Say how the kernel's process ended, with the last lines of its output."""
        if isinstance(manager.provisioner, LocalProvisioner):
            return await manager.provisioner.death_reason(lines=OBITUARY_LINES)
        code = await manager.provisioner.poll() if manager.provisioner is not None else None
        return "The kernel is gone" if not code else f"The kernel exited with code {code}"

    async def trim_log(self, manager: GatewayKernelManager) -> None:
        """Shorten the file of a local kernel's output if it has grown too long."""
        if not isinstance(manager.provisioner, LocalProvisioner):
            return
        try:
            await manager.provisioner.trim_log()
        except OSError as error:
            self._log.warning("The output of kernel %s can't be shortened: %s", manager.kernel_id, error)

    async def discard(self, manager: GatewayKernelManager) -> None:
        """Leave nothing of a dead generation whose end this replica's act is: processes of its group, files."""
        await self.end_remains(manager)
        try:
            await manager.remove_files()
            faults.reach("files removed", manager.kernel_id)
        except OSError as error:
            self._log.warning("Files of kernel %s could not be removed: %s", manager.kernel_id, error)
        manager.close()

    async def end_remains(self, manager: GatewayKernelManager) -> None:
        """End what a dead generation has left of its process group: members that ignored what it died of."""
        try:
            await manager.end_remains()
        except OSError as error:
            self._log.warning("Kernel %s has left processes that can't be ended: %s", manager.kernel_id, error)

    async def abandon(self, manager: GatewayKernelManager) -> None:
        """End what this replica has just launched, at its gate or past it, and leave nothing of it."""
        try:
            await manager.abandon()
            faults.reach("abandoned", manager.kernel_id)
        except (ProvisioningError, OSError) as error:
            self._log.warning("What kernel %s had started could not be removed: %s", manager.kernel_id, error)


def elsewhere(host_name: str) -> GatewayError:
    """503: the kernel lives, and can be reached on its own host only."""
    return unavailable(
        f"The kernel is a process of the host {host_name} and can be reached there only, by the same user and in the "
        "same container.",
        "Kernel is on another host",
    )


def cannot_launch(error: Exception) -> GatewayError:
    """The answer to a start that has failed before there was a kernel."""
    if isinstance(error, EnvironmentTooLong):
        return bad_request(f"{error}.", "Environment too long")
    lacking = str(error) if isinstance(error, NoRoom) else shortage(error)
    if lacking is not None:
        return no_room(f"The kernel could not be launched: {lacking}. Try again when there is room.")
    return GatewayError(500, "Kernel could not be launched", f"The kernel could not be launched: {error}")
