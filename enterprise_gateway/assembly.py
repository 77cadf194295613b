"""The object graph of one replica, built once from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jupyter_client.kernelspec import KernelSpecManager
from tornado.httpserver import HTTPServer
from traitlets.config import Application

from culling.chronicle import Chronicle
from culling.culler import Culler
from culling.election import Election
from culling.janitor import Janitor
from culling.leader import Leader, may_lead
from culling.membership import Membership
from culling.policy import NEVER
from culling.vouching import Vouching
from enterprise_gateway import __version__, derived, server
from enterprise_gateway.authorization import make_authorizer
from enterprise_gateway.config.cull_rules import cull_rules
from enterprise_gateway.config.environment import Environment
from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.config.timings import membership_timings
from enterprise_gateway.config.tls import peer_context
from enterprise_gateway.handlers.auth import TokenAuth
from enterprise_gateway.handlers.channels import CHANNELS_ROUTE
from enterprise_gateway.handlers.peers import PEER_ROUTES
from enterprise_gateway.handlers.routes import make_application
from enterprise_gateway.handlers.services import GatewayServices
from enterprise_gateway.kernels.activity import Activity
from enterprise_gateway.kernels.acts import Acts
from enterprise_gateway.kernels.admission import Admission
from enterprise_gateway.kernels.culled import CulledStops
from enterprise_gateway.kernels.deaths import Deaths
from enterprise_gateway.kernels.flushing import Flusher
from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.hydrate import Hydrator
from enterprise_gateway.kernels.managers import Managers
from enterprise_gateway.kernels.noticing import Noticing
from enterprise_gateway.kernels.openings import Openings
from enterprise_gateway.kernels.ownership import Ownership
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.reconnects import KernelReconnects
from enterprise_gateway.kernels.restarts import Restarts
from enterprise_gateway.kernels.service import KernelService
from enterprise_gateway.kernels.starting import StartActs
from enterprise_gateway.kernels.starts import Starts
from enterprise_gateway.kernels.startup import Startup
from enterprise_gateway.kernels.stopping import StopActs
from enterprise_gateway.kernels.stops import Stops
from enterprise_gateway.kernels.sweep import Sweep
from enterprise_gateway.kernels.takeover import Takeover
from enterprise_gateway.kernels.undone import Undone
from enterprise_gateway.kernelspecs import SpecService
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.log_format import KernelLog
from enterprise_gateway.peers.asking import Peers
from enterprise_gateway.peers.giving import Handovers
from enterprise_gateway.peers.letters import Letters
from enterprise_gateway.provisioners.host import HostIdentity
from enterprise_gateway.provisioners.local import LocalSettings
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from enterprise_gateway.relay.buffer import BufferBudget
from enterprise_gateway.relay.relay import Relay
from enterprise_gateway.relay.sockets import relay_context
from enterprise_gateway.replica import Health, Replica
from enterprise_gateway.sessions.service import SessionService
from enterprise_gateway.sessions.tidying import SessionTidying
from persistence.documents import EventRecord
from persistence.kernel_session_manager import KernelSessionManager

# A look at all processes of the user costs more than a query, and what it finds is no hurry.
LOOKS_PER_SWEEP = 3


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A replica that serves."""

    replica: Replica
    specs: SpecService
    http: HTTPServer
    url: str


class Builder:
    """Builds the parts of one replica.

    Args:
        settings: All settings.
        application: The application, for its log, and as parent of Jupyter's configurables.
        environment: The environment as it was read at start.
        store: Open.
        bound: The port on which the replica will be served.
    """

    def __init__(
        self,
        settings: GatewayTraits,
        *,
        application: Application,
        environment: Environment,
        store: KernelSessionManager,
        bound: server.Bound,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._store = store
        self._bound = bound
        self._application = application
        self._log = application.log
        self._host = HostIdentity.current()
        self.url = reachable_url(settings, bound)

    def membership(self) -> Membership:
        """The replica's place among the others; not registered yet."""
        settings = self._settings
        return Membership(
            self._store,
            url=self.url,
            host=self._host.to_doc(),
            version=__version__,
            timings=membership_timings(settings, operation_timeout_seconds=self._store.operation_timeout),
            culling=cull_rules(settings).digest,
            log=self._log,
        )

    def build(self, membership: Membership) -> Assembly:
        """Build all the rest and serve it. The kernels' runtime directory is prepared by now."""
        parts = self._parts(membership)
        membership.measure_load(lambda: parts.load)
        self._store.kernels.on_step(SessionTidying(self._store, parts.background).made)
        flusher = Flusher(self._store, membership, parts.held)
        membership.on_new_identity(flusher.report_anew)
        ownership = Ownership(parts)
        openings = Openings(self._store, membership, self._log)
        letters = Letters(self._store.sealer, membership.usable_key_ids, self._store.clock)
        hydrator = Hydrator(parts, ownership, self._held_factory(flusher, openings, self._peers(membership, letters)))
        kernels, specs, takeover = self._services(parts, ownership, hydrator, openings)
        undone = Undone(parts, takeover, self._host)
        chronicle = self._chronicle(membership)
        replica = Replica(
            store=self._store,
            membership=membership,
            parts=parts,
            kernels=kernels,
            flusher=flusher,
            noticing=Noticing(
                parts,
                hydrator,
                ownership,
                undone=undone,
                sweep=self._sweep(parts),
                shutdown=kernels.shutdown,
            ),
            ownership=ownership,
            chronicle=chronicle,
            leader=self._leader(membership, undone, CulledStops(parts, StopActs(parts)), tell=chronicle.add),
            rhythm=derived.rhythm(self._settings),
            log=self._log,
        )
        services = GatewayServices(
            kernels=kernels,
            sessions=SessionService(self._store, kernels, parts.background, self._log),
            specs=specs,
            health=Health(replica),
            auth=TokenAuth(self._settings.auth_token, self._settings.admin_token, username=derived.process_user()),
            options=derived.handler_options(self._settings, started=self._store.clock.latest_now()),
            authorizer=make_authorizer(cast(type[Any] | None, self._settings.authorizer_class), self._application),
            users=derived.user_policy(self._settings),
            handovers=Handovers(parts.held, letters, openings.is_here),
        )
        application = make_application(services, extra=(CHANNELS_ROUTE, *PEER_ROUTES))
        http = server.serve(self._bound, application, self._settings, self._log)
        return Assembly(replica=replica, specs=specs, http=http, url=self.url)

    def local(self) -> LocalSettings:
        """What the kernels of this host have in common. Touches no disk."""
        settings = self._settings
        root = Path(settings.kernel_runtime_dir) if settings.kernel_runtime_dir else self._environment.runtime_root()
        return LocalSettings(
            host=self._host,
            directories=RuntimeDirectories(root, self._store.deployment_id),
            ipc_kernelspecs=frozenset(settings.ipc_kernelspecs),
            kernel_log_max_bytes=settings.kernel_log_max_bytes,
        )

    def _parts(self, membership: Membership) -> KernelParts:
        settings = derived.kernel_settings(self._settings, self._environment, embedded=self._store.embedded)
        managers = Managers(
            store=self._store,
            membership=membership,
            local=self.local(),
            settings=settings,
            context=relay_context(),
            log=self._log,
        )
        return KernelParts(
            store=self._store,
            membership=membership,
            acts=Acts(self._store, membership, self._log),
            managers=managers,
            admission=Admission(settings.max_concurrent_launches),
            settings=settings,
            background=Background(self._log),
            log=self._log,
        )

    def _services(
        self, parts: KernelParts, ownership: Ownership, hydrator: Hydrator, openings: Openings
    ) -> tuple[KernelService, SpecService, Takeover]:
        specs = self._specs()
        startup = Startup(self._store, parts.acts, parts.managers, self._log, first_cell=parts.settings.first_cell)
        starting = StartActs(parts, startup, hydrator, ownership)
        ownership.on_death(Deaths(parts, starting).died)
        stopping = StopActs(parts)
        takeover = Takeover(parts, starting, stopping)
        stops = Stops(parts, stopping, takeover)
        kernels = KernelService(
            parts,
            hydrator,
            openings,
            starts=Starts(parts, specs, derived.user_policy(self._settings), starting, takeover, stops),
            restarts=Restarts(parts, starting, takeover),
            stops=stops,
        )
        return kernels, specs, takeover

    def _chronicle(self, membership: Membership) -> Chronicle:
        chronicle = Chronicle(self._store, replica_id=lambda: membership.replica_id, log=self._log)
        self._store.kernels.on_step(chronicle.made)
        return chronicle

    def _leader(
        self, membership: Membership, undone: Undone, stops: CulledStops, *, tell: Callable[[EventRecord], None]
    ) -> Leader:
        rules, vouching = cull_rules(self._settings), Vouching()
        election = Election(
            self._store,
            holder=lambda: membership.replica_id,
            timings=membership.timings,
            log=self._log,
            willing=lambda: may_lead(membership),
        )
        janitor = Janitor(
            self._store,
            membership,
            undone,
            lost_host_timeout_seconds=self._settings.lost_host_timeout,
            tell=tell,
            log=self._log,
        )
        culler = Culler(self._store, membership, stops, rules=rules, tell=tell, vouching=vouching, log=self._log)
        culls = rules.shortest_timeout_seconds is not None or rules.max_lifetime_seconds > NEVER
        leader = Leader(
            election,
            membership,
            janitor,
            culler if culls else None,
            cull_interval_seconds=rules.interval_seconds,
            vouching=vouching,
            log=self._log,
        )
        self._store.database.on_return(leader.distrust)
        return leader

    def _sweep(self, parts: KernelParts) -> Sweep:
        return Sweep(
            local=self.local(),
            deployment_id=self._store.deployment_id,
            interval_seconds=LOOKS_PER_SWEEP * self._settings.renew_interval,
            grace_seconds=parts.settings.end_seconds,
            log=self._log,
        )

    def _specs(self) -> SpecService:
        manager = KernelSpecManager(parent=self._application)
        if self._settings.allowed_kernelspecs:
            manager.allowed_kernelspecs = set(self._settings.allowed_kernelspecs)
        return SpecService(
            manager, default_kernel_name=self._settings.default_kernel_name, base_url=self._settings.base_url
        )

    def _held_factory(self, flusher: Flusher, openings: Openings, peers: Peers) -> Callable[[str], HeldKernel]:
        options = derived.relay_options(self._settings)
        budget = BufferBudget(self._settings.reconnect_total_bytes)

        def new_relay(held: HeldKernel) -> Relay:
            return Relay(
                held.kernel_id,
                listener=held,
                log=KernelLog(self._log, held.kernel_id),
                options=options,
                reconnects=KernelReconnects(held, openings, peers),
                budget=budget,
            )

        def new_held(kernel_id: str) -> HeldKernel:
            activity = Activity(kernel_id, clock=self._store.clock, turned=flusher.soon)
            return HeldKernel(kernel_id, activity=activity, new_relay=new_relay)

        return new_held

    def _peers(self, membership: Membership, letters: Letters) -> Peers:
        return Peers(
            self._store,
            membership,
            letters,
            context=peer_context(self._settings),
            # Twice the bound may be kept, in base64, beside what describes it.
            limit_bytes=4 * self._settings.reconnect_buffer_bytes,
            log=self._log,
        )


def reachable_url(settings: GatewayTraits, bound: server.Bound) -> str:
    """Return where others reach this replica: as it is configured, else by its address, or by its host's name."""
    return settings.advertised_url or bound.url(server.advertised_host(settings.ip), settings.base_url)
