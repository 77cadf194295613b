"""What the handlers are told by the configuration: plain values, read once by the application."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

DEFAULT_MAX_BODY_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class CorsOptions:
    """Cross-origin headers under Enterprise Gateway's names: each a header's value, sent when it is not blank.

    Attributes:
        allow_origin: `*`, or one or more origins separated by commas. Which pages of other origins may read answers.
        allow_methods: Methods named in the answer to a preflight; blank: those of the API.
        allow_headers: Request headers named in the answer to a preflight; blank: those that Jupyter's clients send.
        allow_credentials: `true` lets a browser send credentials. Not with `*`, which browsers refuse.
        expose_headers: Answer headers that a page's script may read.
        max_age: Seconds that a browser may remember the answer to a preflight.
    """

    allow_origin: str = ""
    allow_methods: str = ""
    allow_headers: str = ""
    allow_credentials: str = ""
    expose_headers: str = ""
    max_age: str = ""


@dataclass(frozen=True, kw_only=True)
class HandlerOptions:
    """The settings of the HTTP side.

    Attributes:
        base_url: The path that every route begins with; written with and without slashes alike.
        process_user: Whose kernel it is when a request names no `KERNEL_USERNAME`.
        started: When this replica started, as the API writes times; "" until the database has told the time.
        version: The gateway's own version.
        list_kernels: May kernels and sessions be listed? If not, both lists are answered by 403.
        max_body_bytes: Bodies longer than this are answered by 413.
        allowed_hosts: Names besides loopback ones that `Host` may hold while no token is set.
        allow_remote_access: Don't check `Host` at all while no token is set.
        cors: Cross-origin headers.
    """

    base_url: str = "/"
    process_user: str
    started: str = ""
    version: str = ""
    list_kernels: bool = True
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    allowed_hosts: Collection[str] = ()
    allow_remote_access: bool = False
    cors: CorsOptions = field(default_factory=CorsOptions)

    @property
    def prefix(self) -> str:
        """`base_url` with one leading and one trailing slash."""
        inner = self.base_url.strip("/")
        return f"/{inner}/" if inner else "/"
