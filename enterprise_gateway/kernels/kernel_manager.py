"""One kernel manager for each kernel *and* generation: made for a launch, or made anew from what a record holds.

Its files outlive it: a kernel is served by other replicas too, so nothing is removed when the object goes. There is no
manager of managers, and none is ever loaded twice. Start, restart and stop are acts on the record, each of which takes
the single steps from here; jupyter_client's own methods that do all at once are refused.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import zmq
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from jupyter_client.session import Session
from traitlets import default

from enterprise_gateway.kernels.jsonable import frozen, thawed
from enterprise_gateway.provisioners.addresses import CONNECTION_FILE, LOOPBACK
from enterprise_gateway.provisioners.errors import (
    LaunchError,
    ProcessProxyUnsupported,
    ProvisionerMissing,
    ProvisionerNotRestorable,
)
from enterprise_gateway.provisioners.local import LocalProvisioner, LocalSettings

DEFAULT_PROVISIONER = "local-provisioner"
LOCAL_PROVISIONERS = frozenset({DEFAULT_PROVISIONER, "gateway-local-provisioner"})
LOCAL_PROCESS_PROXY = "LocalProcessProxy"
SPEC_FIELDS = frozenset(KernelSpec.class_trait_names())


class _OwnSession(Session):
    """Holds a kernel's key."""

    def _load_config(self, *_: Any, **__: Any) -> None:
        """Find nothing, as the manager."""


class GatewayKernelManager(AsyncKernelManager):
    """One generation of one kernel.

    Launching: `prepare`, `launch`, then the record gets `process`, `provisioner_info()` and `connection()`, and only
    then `open`. Taking over, on any replica that can reach the kernel: `restore`. In the end `close`.

    Args:
        local: What kernels of this host have in common.
        spec: The kernelspec as launched; never looked up by name.
        kernel_id: Whose generation this is.
        generation: Which.
        context: The ZMQ context, shared and the caller's.
        **kwargs: Traits, `parent` among them.
    """

    provisioner: KernelProvisionerBase | None

    def __init__(
        self,
        *,
        local: LocalSettings,
        spec: KernelSpec,
        kernel_id: str,
        generation: int,
        context: zmq.asyncio.Context,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_id=kernel_id, context=context, **kwargs)
        self.local = local
        self.generation = generation
        self._spec = spec
        self._made_directory = False
        self._connection: dict[str, Any] | None = None
        self._command: list[str] = []
        self._launch_kwargs: dict[str, Any] = {}
        # Last: a name that the trait's own observer maps to another would drop the spec.
        self._kernel_spec = spec

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec as launched."""
        return self._spec

    @default("transport_encryption")
    def _encrypt_where_possible(self) -> str:
        return "auto" if zmq.has("curve") else "disabled"

    @default("cache_ports")
    def _never_cache_ports(self) -> bool:
        return False

    def _load_config(self, *_: Any, **__: Any) -> None:
        """Find nothing: no configuration is handed to it, and the search is dear, for each kernel."""

    def _session_default(self) -> Session:
        return _OwnSession()

    def _ip_default(self) -> str:
        """Give the loopback address; jupyter_client's default may run a program to find it."""
        return LOOPBACK

    # ------------------------------------------------------------------ the launch, step by step

    async def prepare(self, *, env: Mapping[str, str], cwd: str) -> None:
        """Make the provisioner, and have it prepare all that comes before the process.

        Args:
            env: The kernel's whole environment, see `launch_env`.
            cwd: Its working directory, which exists.

        Raises:
            ProvisioningError: The kernelspec's provisioner is not there, or can't prepare a launch.
            OSError: The disk is full, or the like.
        """
        self._must_be_unused()
        self._set_launch_args({"env": dict(env), "cwd": cwd})
        self.provisioner = self._new_provisioner(launching=True)
        if not isinstance(self.provisioner, LocalProvisioner):
            await self._place_connection_file()
        kwargs = await self.provisioner.pre_launch(env=dict(env), cwd=cwd)
        self._command = kwargs.pop("cmd")
        self._launch_kwargs = kwargs

    async def launch(self) -> None:
        """Start the process. A local one waits at its gate until `open`; of others only their provisioner knows.

        Raises:
            LaunchError: There is none afterwards.
        """
        provisioner = self._provisioner
        info = await provisioner.launch_kernel(self._command, **self._launch_kwargs)
        if not provisioner.has_process:
            raise LaunchError(f"The provisioner of kernel {self.kernel_id} launched no process")
        if not isinstance(provisioner, LocalProvisioner):
            await asyncio.to_thread(self._reconcile_connection_info, info)

    async def open(self) -> None:
        """Let the launched process run. Only once it is in the record, by a step that was seen to win.

        Raises:
            LaunchError: It is gone.
        """
        if isinstance(self._provisioner, LocalProvisioner):
            self._provisioner.open_gate()
        await self._provisioner.post_launch(**self._launch_kwargs)

    async def abandon(self) -> None:
        """End what this object launched, wherever it is, and remove its files: for a launch that lost its act."""
        if isinstance(self.provisioner, LocalProvisioner):
            await self.provisioner.abandon()
        elif self.provisioner is not None:
            if self.provisioner.has_process:
                await self.provisioner.kill()
                await self.provisioner.wait()
            await self.provisioner.cleanup()
            if self._made_directory:
                await self.remove_files()

    def started(self) -> None:
        """Note that the kernel answers: what was held for its start is given back."""
        if isinstance(self.provisioner, LocalProvisioner):
            self.provisioner.started()

    async def _place_connection_file(self) -> None:
        directory = await asyncio.to_thread(self.local.directories.make, self.kernel_id, self.generation)
        self._made_directory = True
        self.connection_file = str(directory / CONNECTION_FILE)

    # ------------------------------------------------------------------ taking over

    async def restore(
        self,
        info: Mapping[str, Any],
        connection: Mapping[str, Any],
        *,
        launch_args: Mapping[str, Any] | None = None,
    ) -> None:
        """Load what the record holds of a kernel that runs, or did: this object then serves it as its launcher would.

        Args:
            info: What `provisioner_info` gave.
            connection: What `connection` gave.
            launch_args: `env` and `cwd` as launched, for whoever reads `_launch_args`.

        Raises:
            ProvisionerNotRestorable: The (foreign) provisioner has no process now: nothing may be concluded from it,
                neither death nor life. A local kernel that has died is restored, and dead.
            ProvisionerMissing: Its provisioner is not installed here.
            KernelOnOtherHost: It is a process of another host.
        """
        self._must_be_unused()
        provisioner = self._new_provisioner(launching=False)
        self.load_connection_info(cast(KernelConnectionInfo, dict(connection)))
        await provisioner.load_provisioner_info(thawed(info))
        if not isinstance(provisioner, LocalProvisioner) and not provisioner.has_process:
            raise ProvisionerNotRestorable(
                f"The provisioner of kernelspec {self.kernel_name} can't take over a kernel that another replica "
                "started. Stop the kernel on that replica, or use a provisioner that restores its state."
            )
        self.provisioner = provisioner
        self._set_launch_args(launch_args or {})
        self._attempted_start = True

    async def provisioner_info(self) -> dict[str, Any]:
        """Give what `restore` needs of the provisioner. JSON-able; holds keys: seal it."""
        info: dict[str, Any] = frozen(await self._provisioner.get_provisioner_info())
        return info

    def connection(self) -> dict[str, Any]:
        """Give the connection info, of what was launched or restored. JSON-able; holds keys: seal it."""
        if self._connection is None:
            self._connection = {**self.get_connection_info(), "key": self.session.key.decode()}
        return dict(self._connection)

    @property
    def is_local(self) -> bool:
        """Is its provisioner the gateway's own? Of another one, this object may be all that can end the kernel."""
        return isinstance(self.provisioner, LocalProvisioner)

    @property
    def process(self) -> dict[str, Any] | None:
        """What names this generation's process, plain, for the record; None before it is, or if foreign."""
        if isinstance(self.provisioner, LocalProvisioner) and self.provisioner.process is not None:
            return dict(self.provisioner.process)
        return None

    # ------------------------------------------------------------------ serving it

    async def interrupt(self) -> bool:
        """Interrupt by SIGINT to the process group, where the kernelspec wants a signal.

        Returns:
            False if it wants a message: then nothing was done.
        """
        if self.kernel_spec.interrupt_mode == "message":
            return False
        await self._provisioner.send_signal(signal.SIGINT)
        return True

    async def end_remains(self) -> None:
        """End what a dead local kernel has left of its process group: members that ignored the signals it died of.

        Where its leader was gone before this object was made, nothing can name the group any more.
        """
        if isinstance(self.provisioner, LocalProvisioner):
            await self.provisioner.end(0)

    async def remove_files(self) -> None:
        """Remove the generation's directory. Only for the act that ended it.

        Raises:
            OSError: Something in it can't be removed.
        """
        if isinstance(self.provisioner, LocalProvisioner):
            await self.provisioner.remove_directory()
        else:
            await asyncio.to_thread(self.local.directories.remove, self.kernel_id, self.generation)

    def close(self) -> None:
        """Give back sockets and descriptors. The kernel goes on, and its files stay."""
        self._close_control_socket()
        if isinstance(self.provisioner, LocalProvisioner):
            self.provisioner.close()

    def __del__(self) -> None:
        # jupyter_client's removes the connection file, of a living kernel too. And one that failed to be made has less.
        if getattr(self, "_control_socket", None) is not None:
            self._close_control_socket()

    def cleanup_connection_file(self) -> None:
        """Remove nothing: see `remove_files`."""

    def cleanup_ipc_files(self) -> None:
        """Remove nothing: see `remove_files`."""

    async def start_kernel(self, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a start is an act on the record."""
        self._refuse("start")

    async def restart_kernel(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a restart is an act on the record, and another generation."""
        self._refuse("restart")

    async def shutdown_kernel(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a stop is an act on the record."""
        self._refuse("shutdown")

    def _refuse(self, what: str) -> NoReturn:
        raise NotImplementedError(f"the {what} of kernel {self.kernel_id} is an act of the gateway, step by step")

    # ------------------------------------------------------------------ the provisioner

    @property
    def _provisioner(self) -> KernelProvisionerBase:
        if self.provisioner is None:
            raise RuntimeError(f"kernel {self.kernel_id} is neither prepared nor restored")
        return self.provisioner

    def _set_launch_args(self, args: Mapping[str, Any]) -> None:
        """Set what jupyter_client reads for a command's `{…}` and for a restart; Enterprise Gateway has kernel_id."""
        launch_args: Any = {"kernel_id": self.kernel_id, **args}
        self._launch_args = launch_args

    def _must_be_unused(self) -> None:
        if self.provisioner is not None:
            raise RuntimeError("a kernel manager serves one launch: reloaded, it would keep the ports it had before")

    def _new_provisioner(self, *, launching: bool) -> KernelProvisionerBase:
        refuse_process_proxies(self.kernel_spec, self.kernel_name)
        if provisioner_name(self.kernel_spec.metadata) in LOCAL_PROVISIONERS:
            provisioner = LocalProvisioner(
                kernel_id=self.kernel_id,
                kernel_spec=self.kernel_spec,
                settings=self.local,
                generation=self.generation,
            )
            provisioner.parent = self  # afterwards, else it would look for its part of the configuration
            return provisioner
        return self._foreign_provisioner(launching)

    def _foreign_provisioner(self, launching: bool) -> KernelProvisionerBase:
        spec = self.kernel_spec
        if launching:
            # Its env is in the environment already; provisioners would write it over what the request said.
            spec = spec_from({**spec_to_mapping(spec, self.kernel_name), "env": {}})
        try:
            return KernelProvisionerFactory.instance().create_provisioner_instance(self.kernel_id, spec, parent=self)
        except ModuleNotFoundError as error:
            name = provisioner_name(spec.metadata)
            raise ProvisionerMissing(
                f"The kernelspec {self.kernel_name} needs the kernel provisioner '{name}', which is not installed "
                "beside this gateway. Install the package that brings it, on every replica."
            ) from error


def provisioner_name(metadata: Mapping[str, Any]) -> str:
    """Name the provisioner that a kernelspec's metadata ask for, jupyter_client's default one if none."""
    asked: Any = metadata.get("kernel_provisioner", {}).get("provisioner_name", DEFAULT_PROVISIONER)
    return str(asked)


def refuse_process_proxies(spec: KernelSpec, name: str) -> None:
    """See that a kernelspec of Enterprise Gateway's asks for a local process, or for none in particular.

    Raises:
        ProcessProxyUnsupported: It asks for another kind, as on Kubernetes or YARN.
    """
    proxy = str(spec.metadata.get("process_proxy", {}).get("class_name", LOCAL_PROCESS_PROXY))
    if proxy.rpartition(".")[2] != LOCAL_PROCESS_PROXY:
        raise ProcessProxyUnsupported(
            f"The kernelspec {name} is launched by the process proxy {proxy}, which this gateway does not have. "
            "Remove metadata.process_proxy from its kernel.json to run it on the gateway's host, or name a kernel "
            "provisioner there."
        )


def spec_to_mapping(spec: KernelSpec, name: str) -> dict[str, Any]:
    """Give a kernelspec as records hold it."""
    return {**spec.to_dict(), "name": name, "resource_dir": spec.resource_dir}


def spec_from(stored: Mapping[str, Any]) -> KernelSpec:
    """Make a kernelspec from what a record holds; what jupyter_client's class does not know is left out."""
    return KernelSpec(**{key: value for key, value in stored.items() if key in SPEC_FIELDS})
