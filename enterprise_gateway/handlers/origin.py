"""Where a request comes from: `Host`, `Origin` and the cross-origin headers. Pure functions.

Without a token these checks are all that keeps a web page, which the user opened in a browser on this machine, from
starting kernels: `Host` stops names that a stranger's DNS points at loopback, `Origin` stops other pages. With a token
neither is needed: no page has it, since it is kept in no cookie.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from enterprise_gateway.handlers.auth import is_loopback
from enterprise_gateway.handlers.options import CorsOptions

PREFLIGHT_METHODS = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
PREFLIGHT_HEADERS = "accept, authorization, content-type, idempotency-key, x-xsrftoken"


def host_allowed(host: str, allowed_hosts: Collection[str]) -> bool:
    """Say whether the header `Host` names this machine, or one of the names that the configuration allows."""
    name = host_name(host)
    return bool(name) and (is_loopback(name) or name in {allowed.lower() for allowed in allowed_hosts})


def host_name(host: str) -> str:
    """Return the name in a `Host` header, lower case, without its port; "" if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def origin_allowed(origin: str | None, host: str, cors: CorsOptions) -> bool:
    """Say whether a request of this `Origin` may be served while no token is set.

    None (no header) is a program, or a page's plain GET, which can't read the answer. `*` lets nobody in here: it would
    let in every page there is; origins must be named.
    """
    if origin is None:
        return True
    if origin.lower() in _named(cors):
        return True
    try:
        return bool(host) and urlsplit(origin.lower()).netloc == host.lower()
    except ValueError:
        return False


def cors_headers(origin: str | None, cors: CorsOptions) -> dict[str, str]:
    """Return the cross-origin headers of every answer to a request of this `Origin`."""
    headers = {
        "Access-Control-Allow-Origin": _allow_origin(origin, cors),
        "Access-Control-Allow-Credentials": cors.allow_credentials,
        "Access-Control-Expose-Headers": cors.expose_headers,
        "Vary": "Origin" if len(_named(cors)) > 1 else "",
    }
    return {name: value for name, value in headers.items() if value}


def preflight_headers(cors: CorsOptions) -> dict[str, str]:
    """Return what the answer to a preflight holds besides; nothing while no other origin is allowed."""
    headers = {
        "Access-Control-Allow-Methods": cors.allow_methods or (cors.allow_origin and PREFLIGHT_METHODS),
        "Access-Control-Allow-Headers": cors.allow_headers or (cors.allow_origin and PREFLIGHT_HEADERS),
        "Access-Control-Max-Age": cors.max_age,
    }
    return {name: value for name, value in headers.items() if value}


def _allow_origin(origin: str | None, cors: CorsOptions) -> str:
    """One configured value is sent as it is, as Enterprise Gateway does; of several, the one that asks."""
    if "," not in cors.allow_origin:
        return cors.allow_origin.strip()
    return origin if origin is not None and origin.lower() in _named(cors) else ""


def _named(cors: CorsOptions) -> list[str]:
    return [
        name for part in cors.allow_origin.split(",") if (name := part.strip().lower().rstrip("/")) not in ("", "*")
    ]
