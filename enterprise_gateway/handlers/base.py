"""The base of every handler: who may pass, and how errors and headers look.

It is for every route, WebSockets too (`class ChannelsHandler(GuardedHandler, WebSocketHandler)`): `prepare` checks
`Host` and `Origin` (without a token), the token and the authorizer, in this order, before anything else of a request
is looked at. `json_api.ApiHandler` adds JSON.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import secrets
from types import TracebackType
from typing import Any, ClassVar

from tornado.web import HTTPError, RequestHandler, stream_request_body

from enterprise_gateway.errors import GatewayError, forbidden
from enterprise_gateway.handlers import origin
from enterprise_gateway.handlers.access_log import without_tokens
from enterprise_gateway.handlers.answers import answer_for, unexpected
from enterprise_gateway.handlers.auth import Identity, given_tokens
from enterprise_gateway.handlers.operations import Operation
from enterprise_gateway.handlers.services import GatewayServices

log = logging.getLogger(__name__)

_ACTIONS = {"GET": "read", "HEAD": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "write"}


KNOWN_METHODS = RequestHandler.SUPPORTED_METHODS


class _AnyMethod(tuple[str, ...]):
    """Has tornado leave it to `prepare` to refuse a method, after its checks."""

    __slots__ = ()

    def __contains__(self, method: object) -> bool:
        return True


class GuardedHandler(RequestHandler):
    """Lets nobody pass who may not, and answers errors as JSON.

    Subclasses set:
        auth_resource: What the authorizer is asked about; None: it is not asked.
        auth_action: read, write or execute; None: by the method.
        needs_token: False on the routes of health only.
        operations: What each method does, for the swagger document; a method without an entry does not exist.

    Attributes:
        about: Whose request it is and on what, where its address does not say so; for the access log.
        remark: Why it was refused; for the access log.
    """

    auth_resource: ClassVar[str | None] = "api"
    auth_action: ClassVar[str | None] = None
    needs_token: ClassVar[bool] = True
    operations: ClassVar[dict[str, Operation]] = {}

    SUPPORTED_METHODS: tuple[str, ...] = _AnyMethod(KNOWN_METHODS)
    about: str = ""
    remark: str = ""
    current_user: Identity | None

    @property
    def gateway(self) -> GatewayServices:
        """What the gateway can do."""
        services: GatewayServices = self.settings["gateway"]
        return services

    # -- who may pass --------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Check where the request comes from, who makes it and whether he may.

        Raises:
            GatewayError: 401 without a fitting token, 403 for a wrong `Host` or `Origin` or by the authorizer.
            HTTPError: 405 for a method that no handler has. What it is called could else be any of a handler's own.
        """
        if not self.gateway.auth.required:
            self._check_source()
        if self.request.method == "OPTIONS":
            return
        if self.needs_token:
            self.current_user = self._identify()
            await self._check_authorized()
        if not self._method_known:
            raise HTTPError(405)

    @property
    def _method_known(self) -> bool:
        return self.request.method in KNOWN_METHODS

    def check_origin(self, origin: str) -> bool:
        """Tell tornado's WebSocket that `prepare` has judged the origin already."""
        return True

    def options(self, *_: str, **__: str) -> None:
        """Answer a browser's preflight, which carries no token."""
        for name, value in origin.preflight_headers(self.gateway.options.cors).items():
            self.set_header(name, value)
        self.set_status(204)

    def _check_source(self) -> None:
        options = self.gateway.options
        host = self.request.headers.get("Host", "")
        if not options.allow_remote_access and not origin.host_allowed(host, options.allowed_hosts):
            raise forbidden(
                f"Without a token this gateway answers only to names of this machine, not to {host[:200]!r}. "
                "Set EG_AUTH_TOKEN, or add this name to EG_LOCAL_HOSTNAMES.",
                "Host not allowed",
            )
        if not origin.origin_allowed(self._origin, host, options.cors):
            raise forbidden(
                f"Without a token this gateway serves no pages of {(self._origin or '')[:200]!r}. "
                "Set EG_AUTH_TOKEN, or name this origin in EG_ALLOW_ORIGIN.",
                "Origin not allowed",
            )

    def _identify(self) -> Identity:
        identity = self.gateway.auth.identify(given_tokens(self.request.headers, self.request.query_arguments))
        if identity is None:
            raise GatewayError(
                401,
                "Unauthorized",
                "This gateway needs a token, and the request has none that fits. Send 'Authorization: token …'; "
                "Jupyter's servers take it as --GatewayClient.auth_token or JUPYTER_GATEWAY_AUTH_TOKEN.",
            )
        return identity

    async def _check_authorized(self) -> None:
        if self.auth_resource is not None:
            action = self.auth_action or _ACTIONS.get(self.request.method or "", "write")
            if not await self.is_authorized(action, self.auth_resource):
                raise forbidden(f"User is not authorized to {action} on resource: {self.auth_resource}.")

    async def is_authorized(self, action: str, resource: str) -> bool:
        """Ask the authorizer about this request's user."""
        said = self.gateway.authorizer.is_authorized(self, self.current_user, action, resource)
        return bool(await said if inspect.isawaitable(said) else said)

    @property
    def _origin(self) -> str | None:
        headers = self.request.headers
        return headers.get("Origin") or headers.get("Sec-Websocket-Origin")

    # -- how answers look ----------------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        """Set the headers of every answer; tornado calls it again before it renders an error."""
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "frame-ancestors 'self'; default-src 'none'")
        self.clear_header("Server")  # its version is nobody's business
        for name, value in origin.cors_headers(self._origin, self.gateway.options.cors).items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error as `{"reason", "message"}`. Never a traceback."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        answer = answer_for(error, status=status_code, request_id=self._request_id)
        self.remark = f"{answer.reason}: {answer.message}"
        self.set_status(answer.status, answer.reason)
        if answer.retry_after_seconds is not None:
            self.set_header("Retry-After", str(answer.retry_after_seconds))
        if answer.status == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        if answer.status == 405:
            self.set_header("Allow", ", ".join([*self.operations, "OPTIONS"]))
        self.finish(json.dumps({"reason": answer.reason, "message": answer.message}))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log what the gateway did wrong, with its traceback. The access log tells the rest."""
        if unexpected(value) and typ is not None and value is not None:
            summary = self._request_summary()
            log.error("Request %s failed: %s", self._request_id, summary, exc_info=(typ, value, tb))

    def _request_summary(self) -> str:
        """What tornado names a request by in its own logs: never with a token."""
        return f"{self.request.method} {without_tokens(self.request.uri or '')} ({self.request.remote_ip})"

    @property
    def _request_id(self) -> str:
        if not hasattr(self, "_made_request_id"):
            self._made_request_id = secrets.token_hex(6)
        return self._made_request_id

    def url(self, *parts: str) -> str:
        """Return the path of a route, `base_url` included."""
        return self.gateway.options.prefix + "/".join(parts)


@stream_request_body
class StreamedHandler(GuardedHandler):
    """Takes what is sent as a body after the checks only, as it comes: here it is thrown away."""

    def data_received(self, chunk: bytes) -> None:
        """Take a part of the body."""

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Answer, and say that the connection is closed after it, where that is so."""
        if not self.request._body_future.done():
            self.set_header("Connection", "close")
        return super().finish(chunk)
