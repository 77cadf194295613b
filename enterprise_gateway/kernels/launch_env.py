"""The environment and the directory that a kernel starts in: built for it, never inherited by accident.

Four layers, the later over the former: what every kernel needs of the gateway's environment (PATH, HOME and such), the
kernelspec's `env`, what else of the gateway's environment is configured to be inherited, the request's. Over all of
them stand the few variables that are the gateway's own to set. That is Enterprise Gateway's order, but for the first
layer, which it does not have: a kernelspec that says where its PATH is must not lose it to the gateway's.

Not among them: anything else that the gateway was started with, and anything of another request. All is pure but
`working_directory`. Variables whose names are no identifiers are left out, since no shell passes them on.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

from enterprise_gateway.errors import bad_request
from enterprise_gateway.provisioners.census import DEPLOYMENT, GENERATION, KERNEL_ID

DEFAULT_INHERITED_ENVS = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ")
ALL = "*"
CLIENT_PREFIX = "KERNEL_"
MAX_VARIABLE_BYTES = 128 * 1024
"""What Linux allows for `NAME=value` and its end (MAX_ARG_STRLEN)."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NEVER = frozenset(
    {
        "EG_AUTH_TOKEN",  # the gateway's own secret, under both of its names
        "KG_AUTH_TOKEN",
        "JPY_PARENT_PID",  # makes ipykernel end with that process
        "EG_REMOTE_PWD",  # those two as in Enterprise Gateway
        "LS_COLORS",
    }
)


@dataclass(frozen=True, kw_only=True)
class LaunchIdentity:
    """Whose environment is built: said by the variables that nobody else may set."""

    kernel_id: str
    generation: int
    deployment_id: str
    """Tells the kernels of one database from those of another on the same host."""
    username: str


def filter_request_env(env: Mapping[str, Any], *, client_envs: Collection[str] = ()) -> dict[str, str]:
    """Keep what a client may set: `KERNEL_*`, and the names in `client_envs` (`*`: all). The rest is left out.

    Raises:
        GatewayError: 400, one of those kept is no text, or none that Linux could pass on. The value is not told.
    """
    everything = ALL in client_envs
    return {
        name: _checked(name, value)
        for name, value in env.items()
        if (everything or name.startswith(CLIENT_PREFIX) or name in client_envs) and _may_be_set(name)
    }


def build_env(
    *,
    spec_env: Mapping[str, Any],
    spec_language: str,
    request_env: Mapping[str, str],
    gateway_environ: Mapping[str, str],
    inherited_envs: Iterable[str],
    identity: LaunchIdentity,
) -> dict[str, str]:
    """Build a kernel's whole environment.

    Args:
        spec_env: The kernelspec's; `${NAME}` in a value stands for a variable of the other layers, as jupyter_client
            has it, never for one of the gateway's that is not inherited. An unknown one stays as it is.
        spec_language: The kernelspec's, for KERNEL_LANGUAGE where no one sets it.
        request_env: What `filter_request_env` kept.
        gateway_environ: The gateway's own, of which nothing is taken but `inherited_envs`.
        inherited_envs: Names. Those of DEFAULT_INHERITED_ENVS give way to the kernelspec's, others don't.
        identity: Whose it is.
    """
    inherited = {name: gateway_environ[name] for name in inherited_envs if name in gateway_environ}
    needed = {name: value for name, value in inherited.items() if name in DEFAULT_INHERITED_ENVS}
    configured = {name: value for name, value in inherited.items() if name not in DEFAULT_INHERITED_ENVS}
    own = _own_variables(identity)
    known = {**needed, **configured, **request_env, **own}
    spec = {name: Template(str(value)).safe_substitute(known) for name, value in spec_env.items()}
    defaults = {"KERNEL_LANGUAGE": spec_language.lower() or "unknown-kernel-language"}
    layers = {**defaults, **needed, **spec, **configured, **request_env}
    return {name: value for name, value in layers.items() if _may_be_set(name)} | own


def _own_variables(identity: LaunchIdentity) -> dict[str, str]:
    return {
        "KERNEL_ID": identity.kernel_id,
        "KERNEL_USERNAME": identity.username,
        "KERNEL_GATEWAY": "1",  # Enterprise Gateway's, and Kernel Gateway's before it
        KERNEL_ID: identity.kernel_id,
        GENERATION: str(identity.generation),
        DEPLOYMENT: identity.deployment_id,
    }


def _may_be_set(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name not in _NEVER


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_request(f"The value of the variable {name} in env must be a string.")
    try:
        size = len(f"{name}={value}".encode()) + 1
    except UnicodeEncodeError as error:
        raise bad_request(f"The value of the variable {name} in env is not valid Unicode.") from error
    if "\0" in value:
        raise bad_request(f"The value of the variable {name} in env holds a NUL character.")
    if size > MAX_VARIABLE_BYTES:
        raise bad_request(f"The variable {name} in env is {size} bytes long; Linux allows {MAX_VARIABLE_BYTES}.")
    return value


async def working_directory(env: Mapping[str, str], *, mirror_working_dirs: bool, home: str) -> str:
    """Choose where a kernel starts: KERNEL_WORKING_DIR if that may be and is there, else the home directory.

    Args:
        env: The kernel's environment; its HOME comes before `home`.
        mirror_working_dirs: Whether the client's directories are this host's.
        home: The home directory of the gateway's user.

    Returns:
        A directory that exists and can be entered; `/` where none of those can.
    """
    asked = env.get("KERNEL_WORKING_DIR", "") if mirror_working_dirs else ""
    candidates = [path for path in (asked, env.get("HOME", ""), home) if os.path.isabs(path)]
    # By a thread: a directory on a network may take its time, or for ever.
    return await asyncio.to_thread(_first_directory, candidates)


def _first_directory(candidates: Iterable[str]) -> str:
    return next((path for path in candidates if os.path.isdir(path) and os.access(path, os.X_OK)), "/")
