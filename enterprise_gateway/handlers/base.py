"""The base of every handler: who may pass, and how errors and headers look.

`GuardedHandler` is for every route, WebSockets too (`class ChannelsHandler(GuardedHandler, WebSocketHandler)`): its
`prepare` checks `Host` and `Origin` (without a token), the token, the content type and the authorizer, in this order,
before anything else of a request is looked at. `ApiHandler` adds JSON: bodies with a limit, answers, withdrawal.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import secrets
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler, stream_request_body

from enterprise_gateway.errors import GatewayError, forbidden, missing
from enterprise_gateway.handlers import origin
from enterprise_gateway.handlers.access_log import without_tokens
from enterprise_gateway.handlers.answers import answer_for, unexpected
from enterprise_gateway.handlers.auth import Identity, given_tokens
from enterprise_gateway.handlers.bodies import Json, parse_json, wrong_content_type
from enterprise_gateway.handlers.operations import Operation
from enterprise_gateway.handlers.services import GatewayServices

log = logging.getLogger(__name__)

T = TypeVar("T")

# More than this is not even read to its end: the answer goes out at once and the connection is closed.
DRAIN_LIMIT_BYTES = 64 << 20
# What nginx logs for a client that went away; nobody receives it.
CLIENT_CLOSED_REQUEST = 499

_ACTIONS = {"GET": "read", "HEAD": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "write"}


class GuardedHandler(RequestHandler):
    """Lets nobody pass who may not, and answers errors as JSON.

    Subclasses set:
        auth_resource: What the authorizer is asked about; None: it is not asked.
        auth_action: read, write or execute; None: by the method.
        needs_token: False on the routes of health only.
        quiet: True leaves requests that went well out of the access log.
        operations: What each method does, for the swagger document; a method without an entry does not exist.
    """

    auth_resource: ClassVar[str | None] = "api"
    auth_action: ClassVar[str | None] = None
    needs_token: ClassVar[bool] = True
    quiet: ClassVar[bool] = False
    operations: ClassVar[dict[str, Operation]] = {}

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
            GatewayError: 401 without a fitting token, 403 for a wrong `Host` or `Origin` or by the authorizer, 415.
        """
        if not self.gateway.auth.required:
            self._check_source()
        if self.request.method == "OPTIONS":
            return
        if self.needs_token:
            self.current_user = self._identify()
            await self._check_authorized()

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
                "Set EG_AUTH_TOKEN, or allow this name.",
                "Host not allowed",
            )
        if not origin.origin_allowed(self._origin, host, options.cors):
            raise forbidden(
                f"Without a token this gateway serves no pages of {(self._origin or '')[:200]!r}. "
                "Set EG_AUTH_TOKEN, or name this origin in EG_ALLOW_ORIGIN.",
                "Origin not allowed",
            )
        if self._has_body and wrong_content_type(self.request.headers.get("Content-Type")):
            raise GatewayError(
                415, "Unsupported Media Type", "The body must be sent as Content-Type: application/json."
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

    @property
    def _has_body(self) -> bool:
        headers = self.request.headers
        return headers.get("Content-Length", "0").strip() != "0" or "Transfer-Encoding" in headers

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
        elif isinstance(value, GatewayError):
            log.debug("Answering %s to %s", value, self._request_summary())

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
class ApiHandler(GuardedHandler):
    """Takes and gives JSON.

    A body is read to its end before a refusal is answered, and thrown away meanwhile: a connection that is closed with
    unread bytes is reset, and the client would see that instead of the answer.
    """

    def __init__(self, application: Any, request: HTTPServerRequest, **kwargs: Any) -> None:
        super().__init__(application, request, **kwargs)
        self._chunks = bytearray()
        self._refusal: GatewayError | None = None
        self._gone = False
        self._withdrawable: asyncio.Task[Any] | None = None

    async def prepare(self) -> None:
        """Check as the base does; a refusal of a request with a body is kept until the body has been read."""
        try:
            await super().prepare()
            self._check_length()
        except GatewayError as error:
            if not self._drainable:
                raise
            self._refuse(error)

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, up to the limit."""
        if self._refusal is None and len(self._chunks) + len(chunk) > self.gateway.options.max_body_bytes:
            self._refuse(self._too_large())
        if self._refusal is None:
            self._chunks += chunk

    def json_body(self) -> Json:
        """Return the parsed body; None if there is none.

        Raises:
            GatewayError: 400, it is no JSON.
        """
        return parse_json(bytes(self._chunks))

    def reply(self, model: Any, *, status: int = 200, location: str | None = None) -> None:
        """Answer with `model` as JSON."""
        self.set_status(status)
        if location is not None:
            self.set_header("Location", location)
        self.finish(json.dumps(model))

    async def until_gone(self, work: Coroutine[Any, Any, T], *, withdraw: bool) -> T:
        """Do `work`; with `withdraw`, cancel it when the client closes its connection before the answer."""
        if self._gone and withdraw:
            work.close()
            raise _client_gone()
        task = asyncio.ensure_future(work)
        self._withdrawable = task if withdraw else None
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._gone and current is not None and not current.cancelling():
                raise _client_gone() from None  # it was `on_connection_close` that cancelled the work, not this handler
            raise
        finally:
            self._withdrawable = None

    def on_connection_close(self) -> None:
        """Withdraw what the client no longer waits for."""
        super().on_connection_close()
        self._gone = True
        if self._withdrawable is not None:
            self._withdrawable.cancel()

    def _check_length(self) -> None:
        if self._declared_length > self.gateway.options.max_body_bytes:
            raise self._too_large()

    @property
    def _declared_length(self) -> int:
        text = self.request.headers.get("Content-Length", "0")
        return int(text) if text.isdecimal() and text.isascii() else 0

    @property
    def _drainable(self) -> bool:
        # Who says `Expect` has not sent the body yet, and won't when he gets an answer.
        waits = "Expect" in self.request.headers
        return self._has_body and not waits and self._declared_length <= DRAIN_LIMIT_BYTES

    def _too_large(self) -> GatewayError:
        limit = self.gateway.options.max_body_bytes
        return GatewayError(
            413, "Request Entity Too Large", f"The body is longer than this gateway's limit of {limit} bytes."
        )

    def _refuse(self, error: GatewayError) -> None:
        """Let the method that tornado calls after the body raise `error`."""
        self._refusal = error
        self._chunks.clear()
        setattr(self, (self.request.method or "get").lower(), self._raise_refusal)

    async def _raise_refusal(self, *_: str, **__: str) -> None:
        if self._refusal is not None:
            raise self._refusal


class NotFoundHandler(ApiHandler):
    """Answers every address that no route knows; only to those who may ask."""

    async def prepare(self) -> None:
        """Say 404, after the checks."""
        await super().prepare()
        if self._refusal is None and self.request.method != "OPTIONS":
            self._refuse(missing("There is nothing at this address. The routes are listed at api/swagger.json."))


def _client_gone() -> GatewayError:
    return GatewayError(CLIENT_CLOSED_REQUEST, "Client closed request", "The client went away before the answer.")
