"""The HTTP server: its socket, its port, its end."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from enterprise_gateway.accepting import PatientServer
from enterprise_gateway.config.server import ServerTraits
from enterprise_gateway.config.tls import server_context
from persistence.errors import ConfigurationError

WILDCARDS = ("", "0.0.0.0", "::")


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Sockets that are bound, and not yet served.

    Attributes:
        sockets: All of one port.
        port: That port.
        context: For TLS; None for plain HTTP.
    """

    sockets: list[socket.socket]
    port: int
    context: ssl.SSLContext | None

    def url(self, host: str, base_url: str) -> str:
        """Return the URL under which `host` serves these sockets."""
        scheme = "https" if self.context else "http"
        name = f"[{host}]" if ":" in host else host
        path = base_url.rstrip("/")
        return f"{scheme}://{name}:{self.port}{path}"


def bind(settings: ServerTraits, log: Logger | LoggerAdapter[Any]) -> Bound:
    """Bind the port, or one of the next `port_retries`.

    Raises:
        ConfigurationError: None is free, this user may not have it, or the address can't be listened on.
    """
    context = server_context(settings)
    tries = 1 if settings.port == 0 else settings.port_retries + 1
    for port in range(settings.port, min(settings.port + tries, 65536)):
        try:
            sockets = bind_sockets(port, settings.ip)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(_why_not(settings.ip, port, error)) from error
            log.info("Port %s is taken", port)
            continue
        return Bound(sockets=sockets, port=sockets[0].getsockname()[1], context=context)
    raise ConfigurationError(f"No port from {settings.port} on is free; set EG_PORT or EG_PORT_RETRIES.")


def _why_not(ip: str, port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"Port {port} is not for this user (permission denied); set EG_PORT to one above 1023."
    return f"The gateway can't listen on {ip}: {error.strerror}"


def serve(
    bound: Bound, application: Application, settings: ServerTraits, log: Logger | LoggerAdapter[Any]
) -> PatientServer:
    """Serve requests from now on."""
    server = PatientServer(
        application,
        ssl_options=bound.context,
        xheaders=settings.trust_xheaders,
        idle_connection_timeout=settings.keep_alive_timeout,
    )
    server.log = log
    server.add_sockets(bound.sockets)
    return server


async def close(server: HTTPServer, seconds: float) -> bool:
    """Take no more requests, and close all connections; WebSockets are others' business.

    Returns:
        False where one still waits for leave, an authorizer's say, after so long.
    """
    server.stop()
    # No `asyncio.timeout`: tornado would take its cancellation for that of one request, and wait for the next for ever.
    closing = asyncio.ensure_future(server.close_all_connections())
    done, _ = await asyncio.wait({closing}, timeout=seconds)
    return bool(done)


def advertised_host(ip: str) -> str:
    """Return the name under which other replicas find a server that listens on `ip`."""
    return socket.gethostname() if ip in WILDCARDS else ip
