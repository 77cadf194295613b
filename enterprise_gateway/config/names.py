"""The names of environment variables: today's, those that still work, and those of EG that mean nothing here.

Each setting has one variable: `EG_` and its own name in capitals, but for the few in `SPECIAL`.
"""

from __future__ import annotations

from typing import NamedTuple

from enterprise_gateway.config.settings import APP_SECTION

DATABASE_SECTION = "KernelSessionManager"


class Setting(NamedTuple):
    """A trait by name: `c.<section>.<trait>` in a config file."""

    section: str
    trait: str


SPECIAL = {
    Setting(APP_SECTION, "ws_ping_interval"): "EG_WS_PING_INTERVAL_SECS",
    Setting(DATABASE_SECTION, "driver"): "EG_MONGODB_DRIVER",
    Setting(DATABASE_SECTION, "database_name"): "EG_MONGODB_DATABASE",
}

# The name in EG's container images: as good as ours.
SYNONYMS = {"EG_ALLOWED_KERNELS": "EG_ALLOWED_KERNELSPECS"}

# Names of former versions, and of the kernel gateway that EG came from. They work, with a warning.
DEPRECATED = {
    "EG_KERNEL_WHITELIST": "EG_ALLOWED_KERNELSPECS",
    "EG_ENV_WHITELIST": "EG_CLIENT_ENVS",
    "EG_ENV_PROCESS_WHITELIST": "EG_INHERITED_ENVS",
    **{
        f"KG_{name}": f"EG_{name}"
        for name in (
            "ALLOW_CREDENTIALS",
            "ALLOW_HEADERS",
            "ALLOW_METHODS",
            "ALLOW_ORIGIN",
            "AUTH_TOKEN",
            "BASE_URL",
            "CERTFILE",
            "CLIENT_CA",
            "DEFAULT_KERNEL_NAME",
            "EXPOSE_HEADERS",
            "IP",
            "KEYFILE",
            "LIST_KERNELS",
            "MAX_AGE",
            "MAX_KERNELS",
            "PORT",
            "PORT_RETRIES",
            "SSL_VERSION",
            "TRUST_XHEADERS",
        )
    },
}

_NO_SSH = "kernels on other hosts by SSH do not exist here"
_NO_YARN = "YARN and Conductor are not supported"
_NO_CONTAINER = "kernels in containers are not supported by this version"
_NO_LAUNCHER = "no kernel calls back to the gateway, so there is nothing to listen on or to poll"
_IN_DATABASE = "kernels are always kept in MongoDB: see EG_MONGODB_URI"

# What EG 3.3 and its start script read and this gateway does not, with the reason. A name that ends in `_` is a family.
UNSUPPORTED = {
    "EG_ALTERNATE_SIGINT": "kernels are interrupted as their kernelspec's interrupt_mode says",
    "EG_ALT_YARN_ENDPOINT": _NO_YARN,
    "EG_AUTHORIZED_ORIGIN": "use EG_CLIENT_CA, which refuses clients without a certificate of that authority",
    "EG_AUTH_TYPE": _IN_DATABASE,
    "EG_AVAILABILITY_MODE": "every replica serves every kernel: there is no mode to choose",
    "EG_CONDUCTOR_ENDPOINT": _NO_YARN,
    "EG_DEFAULT_KERNEL_SERVICE_ACCOUNT_NAME": _NO_CONTAINER,
    "EG_DOCKER_": _NO_CONTAINER,
    "EG_DYNAMIC_CONFIG_INTERVAL": "settings are read at start: restart the replicas one after the other, kernels stay",
    "EG_ENABLE_TUNNELING": _NO_SSH,
    "EG_IMPERSONATION_ENABLED": "kernels run as the gateway's own user",
    "EG_KERNELSPEC_CACHE_ENABLED": "kernelspecs are always looked up off the event loop",
    "EG_KERNEL_CLUSTER_ROLE": _NO_CONTAINER,
    "EG_KERNEL_EXECUTOR_IMAGE": _NO_CONTAINER,
    "EG_KERNEL_HEADERS": "request headers are not handed to kernels; send KERNEL_* variables in env instead",
    "EG_KERNEL_IMAGE": _NO_CONTAINER,
    "EG_KERNEL_LOG_DIR": "a kernel's output is in its own directory: see EG_KERNEL_RUNTIME_DIR",
    "EG_KERNEL_SESSION_PERSISTENCE": _IN_DATABASE,
    "EG_KUBERNETES_LOG_LEVEL": _NO_CONTAINER,
    "EG_LOAD_BALANCING_ALGORITHM": _NO_SSH,
    "EG_MAX_POLL_ATTEMPTS": _NO_LAUNCHER,
    "EG_MAX_PORT_RANGE_RETRIES": "kernels use Unix sockets or free ports: there is no range",
    "EG_MIN_PORT_RANGE_SIZE": "kernels use Unix sockets or free ports: there is no range",
    "EG_NAMESPACE": _NO_CONTAINER,
    "EG_PERSISTENCE_ROOT": _IN_DATABASE,
    "EG_POD_TEMPLATE_DIR": _NO_CONTAINER,
    "EG_POLL_INTERVAL": _NO_LAUNCHER,
    "EG_PORT_RANGE": "kernels use Unix sockets or free ports: there is no range",
    "EG_PROHIBITED_": _NO_CONTAINER,
    "EG_REDACTION_MASK": "secrets are never logged, so nothing is to be masked",
    "EG_REMOTE_": _NO_SSH,
    "EG_RESPONSE_": _NO_LAUNCHER,
    "EG_RESTART_STATUS_POLL_INTERVAL": _NO_LAUNCHER,
    "EG_SENSITIVE_ENV_KEYS": "secrets are never logged, so nothing is to be masked",
    "EG_SHARED_NAMESPACE": _NO_CONTAINER,
    "EG_SOCKET_TIMEOUT": _NO_LAUNCHER,
    "EG_SSH_": _NO_SSH,
    "EG_WEBHOOK_": _IN_DATABASE,
    "EG_YARN_": _NO_YARN,
    "EG_ZMQ_": "sockets are raised to what the system allows, without a setting",
}

# What a test has happen between the steps of acts: see `persistence.faults`.
FAULTS = "EG_TEST_FAULTS"

# The project's own, for its tests; no settings.
IGNORED_PREFIXES = ("EG_TEST_",)


def variable(setting: Setting) -> str:
    """Return the environment variable of a setting."""
    return SPECIAL.get(setting) or f"EG_{setting.trait.upper()}"


def why_unsupported(name: str) -> str:
    """Say why a variable that is no setting has no effect."""
    return reason_without(name) or "there is no such setting: is it misspelt?"


def reason_without(name: str) -> str | None:
    """Say why a variable of EG has no setting here; None for one that EG has not either."""
    if name in UNSUPPORTED:
        return UNSUPPORTED[name]
    families = (reason for prefix, reason in UNSUPPORTED.items() if prefix.endswith("_") and name.startswith(prefix))
    return next(families, None)
