"""Short options of the command, beside `--EnterpriseGatewayApp.<setting>=…`, and examples.

None for tokens: other users of the machine can read a command line. Options may be written with underscores too.
"""

from __future__ import annotations

from typing import Any

from jupyter_core.application import base_aliases, base_flags
from traitlets.config import Config

from enterprise_gateway.config.names import DATABASE_SECTION
from enterprise_gateway.config.settings import APP_SECTION

ALIASES: dict[str, str] = {
    **base_aliases,
    "log-level": f"{APP_SECTION}.log_level",
    "ip": f"{APP_SECTION}.ip",
    "port": f"{APP_SECTION}.port",
    "port-retries": f"{APP_SECTION}.port_retries",
    "base-url": f"{APP_SECTION}.base_url",
    "certfile": f"{APP_SECTION}.certfile",
    "keyfile": f"{APP_SECTION}.keyfile",
    "client-ca": f"{APP_SECTION}.client_ca",
    "ssl-version": f"{APP_SECTION}.ssl_version",
    "on-exit": f"{APP_SECTION}.on_exit",
    "mongodb-uri": f"{DATABASE_SECTION}.mongodb_uri",
}

FLAGS: dict[str, tuple[dict[str, Any] | Config, str]] = {**base_flags}

EXAMPLES = """\
# A gateway for this machine, and JupyterLab on it
jupyter enterprisegateway
jupyter lab --gateway-url=http://127.0.0.1:8888

# For other machines, a token is needed
export EG_AUTH_TOKEN=choose-a-secret
jupyter enterprisegateway --ip=0.0.0.0

# Several replicas: one database, and the same keys for all, made once
python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'
export EG_SEALING_KEYS=the-key-that-was-printed
export EG_MONGODB_URI='mongodb://db.example.org/?replicaSet=rs0'
jupyter enterprisegateway --ip=0.0.0.0
"""
