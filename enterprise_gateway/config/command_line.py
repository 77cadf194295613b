"""Short options of the command, beside `--EnterpriseGatewayApp.<setting>=…`.

None for tokens: other users of the machine can read a command line.
"""

from __future__ import annotations

from typing import Any

from jupyter_core.application import base_aliases, base_flags
from traitlets.config import Config

from enterprise_gateway.config.names import DATABASE_SECTION
from enterprise_gateway.config.settings import APP_SECTION

ALIASES: dict[str, str] = {
    **base_aliases,
    "ip": f"{APP_SECTION}.ip",
    "port": f"{APP_SECTION}.port",
    "port_retries": f"{APP_SECTION}.port_retries",
    "base-url": f"{APP_SECTION}.base_url",
    "certfile": f"{APP_SECTION}.certfile",
    "keyfile": f"{APP_SECTION}.keyfile",
    "client-ca": f"{APP_SECTION}.client_ca",
    "ssl_version": f"{APP_SECTION}.ssl_version",
    "on-exit": f"{APP_SECTION}.on_exit",
    "mongodb-uri": f"{DATABASE_SECTION}.mongodb_uri",
}

FLAGS: dict[str, tuple[dict[str, Any] | Config, str]] = {**base_flags}
