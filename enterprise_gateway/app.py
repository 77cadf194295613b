"""The command: reads the settings, builds one replica out of them, runs it. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from copy import deepcopy
from typing import Any

from jupyter_core.application import JupyterApp
from traitlets import Dict, Enum, TraitError, Unicode, default
from traitlets.config import catch_config_error

from enterprise_gateway import __version__, server
from enterprise_gateway.assembly import Assembly, Builder
from enterprise_gateway.banner import farewell, welcome
from enterprise_gateway.config.arguments import StrictLoader, check_config_file
from enterprise_gateway.config.command_line import ALIASES, EXAMPLES, FLAGS
from enterprise_gateway.config.environment import Environment, read_environment
from enterprise_gateway.config.former_sections import handed_on
from enterprise_gateway.config.names import DATABASE_SECTION, FAULTS
from enterprise_gateway.config.repeats import OncePerText
from enterprise_gateway.config.sections import sections
from enterprise_gateway.config.settings import APP_SECTION, GatewayTraits
from enterprise_gateway.config.validation import check_settings
from enterprise_gateway.last_resort import LastResort
from enterprise_gateway.log_filters import without_details
from enterprise_gateway.log_format import LogFormatter
from enterprise_gateway.memory import keep_for_messages, spare_what_stays
from enterprise_gateway.privacy import hide_memory
from enterprise_gateway.provisioners.errors import UnsafeRuntimeDirectory
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from enterprise_gateway.relay import appearing
from enterprise_gateway.relay.sockets import raise_file_limit, start_threads
from enterprise_gateway.threads import started_pool
from persistence import faults
from persistence.errors import ConfigurationError, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECRET_SETTINGS = (
    (APP_SECTION, "auth_token"),
    (APP_SECTION, "admin_token"),
    (DATABASE_SECTION, "mongodb_uri"),
    (DATABASE_SECTION, "sealing_keys"),
)
LISTED = ("auth_token", "admin_token", "sealing_keys")
HIDDEN = "(set, not shown)"
CLOSING_SECONDS = 2.0  # for what is still to be answered when the replica has left
# What the last steps of a stop may take: tasks that are cancelled, some operations of the database, a private mongod.
LATE_SECONDS = 25.0
LEAVING_SECONDS = 5.0  # when all is said and done, and only threads and tasks that hang are waited for
LOGGERS = ("enterprise_gateway", "culling", "persistence", "tornado")


class EnterpriseGatewayApp(GatewayTraits, JupyterApp):
    """Jupyter Enterprise Gateway on MongoDB: any number of identical replicas, any of them serves every kernel."""

    name = "jupyter-enterprisegateway"
    version = __version__
    description = (
        "Runs Jupyter kernels for remote clients.\n\n"
        "Any number of identical replicas share one MongoDB, and every replica can serve every kernel. Without\n"
        "KernelSessionManager.mongodb_uri (EG_MONGODB_URI) a private database of this user is started and used."
    )
    examples = EXAMPLES
    classes = [KernelSessionManager]  # noqa: RUF012 - traitlets reads it so
    aliases = Dict(ALIASES)
    flags = Dict(FLAGS)
    config_file_name = Unicode("jupyter_enterprise_gateway_config", help="Name of the config file, without extension.")
    log_level = Enum(
        (0, 10, 20, 30, 40, 50, "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"),
        default_value=logging.INFO,  # as a value of the class: `--help` shows no other default
        config=True,
        help="The least important messages that are logged, by name or number (20 is INFO).",
    )
    environment: Environment
    _log_formatter_cls = LogFormatter

    @default("log_format")
    def _with_time(self) -> str:
        return "[%(levelname)1.1s %(asctime)s %(name)s] %(message)s"

    @catch_config_error
    def initialize(self, argv: list[str] | None = None) -> None:
        """Read all settings: environment, over it the config file, over it the command line.

        Raises:
            ConfigurationError: They don't fit together.
        """
        self.log.addFilter(OncePerText("Config option"))  # traitlets tells each misspelt setting several times
        self.environment = read_environment(sections())
        super().initialize(argv)
        self._hand_on_former_sections()
        for notice in self.environment.notices:
            self.log.warning("%s: %s", notice.variable, notice.advice)

    def _hand_on_former_sections(self) -> None:
        config, names = handed_on(self.config)
        self.update_config(config)
        for name in names:
            trait = name.partition(".")[2]
            self.log.warning("The setting %s is deprecated: use %s.%s", name, APP_SECTION, trait)

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        """Put the environment below the config files; `initialize` puts the command line over both afterwards."""
        if self.config_file:
            check_config_file(self.config_file)
        self.update_config(self.environment.config)
        super().load_config_file(suppress_errors)

    def _create_loader(self, argv: list[str] | None, aliases: Any, flags: Any, classes: Any) -> StrictLoader:
        return StrictLoader(argv, aliases, flags, classes=classes, log=self.log)

    def write_default_config(self) -> None:
        """Write a config file that only its owner can read: tokens are going to stand in it."""
        former = os.umask(0o077)
        try:
            super().write_default_config()
        finally:
            os.umask(former)

    def start_show_config(self) -> None:
        """Show the settings in force; that a secret is set, but not which: what is shown ends up in bug reports."""
        config = deepcopy(self.config)
        for section, trait in SECRET_SETTINGS:
            if trait in config.get(section, {}):
                config[section][trait] = [HIDDEN] if trait in LISTED else HIDDEN
        self.config = config
        super().start_show_config()

    def _share_log(self) -> None:
        """Have the loggers of the packages and of tornado speak through the application's handlers, at its level."""
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = list(self.log.handlers), False
            logger.setLevel(self.log.level)
        logging.getLogger("tornado.general").addFilter(without_details)

    def start(self) -> None:
        """Run one replica until it is told to stop.

        Raises:
            SystemExit: With 1, it can't start; the log says why.
        """
        super().start()
        self._share_log()
        try:
            if self.environment.faults:
                self.log.warning("%s: this replica harms itself, for a test", FAULTS)
                faults.arm(self.environment.faults)
            if not hide_memory():
                self.log.warning("Kernels can read this process's environment: Linux did not hide it")
            store = self._store()
            check_settings(self, operation_timeout_seconds=store.operation_timeout)
            asyncio.run(self.run(store))
        except (ConfigurationError, StoreUnavailable) as error:
            self.log.critical("The gateway can't start: %s", error)
            self.exit(1)

    def _store(self) -> KernelSessionManager:
        try:
            return KernelSessionManager(parent=self)
        except TraitError as error:
            raise ConfigurationError(str(error)) from error

    async def run(self, store: KernelSessionManager) -> None:
        """Start, serve, drain.

        Raises:
            ConfigurationError: It can't start.
            StoreUnavailable: There is no database.
        """
        stop = asyncio.Event()
        last_resort = LastResort(self.log)
        self._listen_to_signals(stop, last_resort)
        raise_file_limit()
        keep_for_messages()
        asyncio.get_running_loop().set_default_executor(started_pool())
        start_threads()
        appearing.prepare()
        bound = server.bind(self, self.log)
        await store.open()
        try:
            builder = Builder(self, application=self, environment=self.environment, store=store, bound=bound)
            await asyncio.to_thread(prepare, builder.local().directories)
            membership = builder.membership()
            await membership.register()
            await self._serve(builder.build(membership), stop)
        finally:
            await store.close()
        last_resort.allow(LEAVING_SECONDS, code=0)

    async def _serve(self, assembly: Assembly, stop: asyncio.Event) -> None:
        replica = assembly.replica
        spare_what_stays()
        replica.start()
        self.log.info(
            welcome(
                version=__version__,
                url=assembly.url,
                database=replica.store.describe(),
                replica_id=replica.membership.replica_id,
                token_required=bool(self.auth_token),
            )
        )
        await stop.wait()
        self.log.info("Stopping: clients are told to connect again")
        left = await replica.drain(stop_kernels=self.on_exit == "stop")
        if not await server.close(assembly.http, CLOSING_SECONDS):
            self.log.warning("Requests are still at work, and are dropped")
        assembly.specs.close()
        self.log.info(farewell(left, others=replica.membership.live_others))

    def _listen_to_signals(self, stop: asyncio.Event, last_resort: LastResort) -> None:
        loop = asyncio.get_running_loop()

        def told() -> None:
            if stop.is_set():
                self.log.warning("Stopping at once")
                logging.shutdown()
                os._exit(1)  # as a crash, which nothing is lost by; whatever is at work could hold up a cleaner end
            last_resort.allow(self.drain_timeout + LATE_SECONDS, code=1)
            stop.set()

        for signum in SIGNALS:
            loop.add_signal_handler(signum, told)


def prepare(directories: RuntimeDirectories) -> None:
    """Make the directory of the host's kernels.

    Raises:
        ConfigurationError: It can't be used; the message says what to do.
    """
    try:
        directories.prepare()
    except (UnsafeRuntimeDirectory, OSError) as error:
        raise ConfigurationError(f"{error} (EnterpriseGatewayApp.kernel_runtime_dir)") from error


def main(argv: list[str] | None = None, **kwargs: Any) -> None:
    """Run the command."""
    EnterpriseGatewayApp.launch_instance(argv, **kwargs)
