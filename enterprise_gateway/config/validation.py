"""Relations between settings that a single trait can't check. The gateway does not start where one is broken."""

from __future__ import annotations

import ipaddress

from enterprise_gateway.config.cull_rules import cull_rules
from enterprise_gateway.config.security import SecurityTraits
from enterprise_gateway.config.server import ServerTraits
from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.config.timings import membership_timings
from persistence.errors import ConfigurationError


def check_settings(settings: GatewayTraits, *, operation_timeout_seconds: float) -> None:
    """Check all relations.

    Raises:
        ConfigurationError: One is broken; the message says which settings to change.
    """
    membership_timings(settings, operation_timeout_seconds=operation_timeout_seconds)
    cull_rules(settings)
    check_connections(settings)
    check_address(settings)
    check_exposure(settings, settings)


def check_connections(server: ServerTraits) -> None:
    """Check what belongs together for a connection: the files of TLS."""
    for name in ("keyfile", "client_ca"):
        if getattr(server, name) and not server.certfile:
            raise ConfigurationError(f"{name} is set without certfile: the gateway would speak plain HTTP.")


def check_address(server: ServerTraits) -> None:
    """Check that `ip`, where it is written as an address, is one. A name is looked up when it is listened on."""
    written_as_address = ":" in server.ip or server.ip.replace(".", "").isdecimal()
    if written_as_address and _address(server.ip) is None:
        raise ConfigurationError(f"ip {server.ip} is no IP address. Set EG_IP to one of this machine, or to 0.0.0.0.")


def check_exposure(server: ServerTraits, security: SecurityTraits) -> None:
    """Check that nobody can reach the gateway from elsewhere without a token."""
    if not security.auth_token and not is_loopback(server.ip):
        raise ConfigurationError(
            f"ip {server.ip or '(empty)'} can be reached from other machines, and there is no auth_token: whoever "
            "finds the port could run code as this user. Set EG_AUTH_TOKEN, or listen on 127.0.0.1."
        )
    if security.allow_origin.strip() == "*" and security.allow_credentials.strip().lower() == "true":
        raise ConfigurationError(
            "allow_origin * together with allow_credentials true is refused by browsers: name the origin."
        )


def is_loopback(ip: str) -> bool:
    """Say whether only this machine can reach `ip`."""
    if ip == "localhost":
        return True
    address = _address(ip)
    return address is not None and address.is_loopback


def _address(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(ip)
    except ValueError:
        return None
