"""The route table, and the tornado application made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tornado.web import Application, url

from enterprise_gateway.handlers.access_log import log_request
from enterprise_gateway.handlers.api import IdentityHandler, StatusHandler, VersionHandler
from enterprise_gateway.handlers.health import LivenessHandler, ReadinessHandler
from enterprise_gateway.handlers.json_api import NotFoundHandler
from enterprise_gateway.handlers.kernels import InterruptHandler, KernelHandler, KernelsHandler, RestartHandler
from enterprise_gateway.handlers.kernelspecs import KernelSpecHandler, KernelSpecResourceHandler, KernelSpecsHandler
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.services import GatewayServices
from enterprise_gateway.handlers.sessions import SessionHandler, SessionsHandler
from enterprise_gateway.handlers.swagger import SwaggerJsonHandler, SwaggerYamlHandler

ROUTES: tuple[Route, ...] = (
    Route(path="/api", handler=VersionHandler),
    Route(path="/api/status", handler=StatusHandler),
    Route(path="/api/me", handler=IdentityHandler),
    Route(path="/api/swagger.json", handler=SwaggerJsonHandler),
    Route(path="/api/swagger.yaml", handler=SwaggerYamlHandler),
    Route(path="/api/kernels", handler=KernelsHandler),
    Route(path="/api/kernels/{kernel_id}", handler=KernelHandler),
    Route(path="/api/kernels/{kernel_id}/interrupt", handler=InterruptHandler),
    Route(path="/api/kernels/{kernel_id}/restart", handler=RestartHandler),
    Route(path="/api/sessions", handler=SessionsHandler),
    Route(path="/api/sessions/{session_id}", handler=SessionHandler),
    Route(path="/api/kernelspecs", handler=KernelSpecsHandler),
    Route(path="/api/kernelspecs/{kernel_name}", handler=KernelSpecHandler),
    Route(path="/kernelspecs/{kernel_name}/{file}", handler=KernelSpecResourceHandler),
    Route(path="/healthz", handler=LivenessHandler),
    Route(path="/readyz", handler=ReadinessHandler),
)


def make_application(services: GatewayServices, *, extra: Sequence[Route] = (), **settings: Any) -> Application:
    """Build the tornado application.

    Args:
        services: What the handlers use, as `settings["gateway"]`.
        extra: Further routes, such as the WebSocket's; they are in the swagger document if they have operations.
        settings: tornado's own, such as `websocket_ping_interval`.
    """
    routes = (*ROUTES, *extra)
    prefix = services.options.prefix
    return Application(
        [url(route.pattern(prefix), route.handler) for route in routes],
        gateway=services,
        routes=routes,
        default_handler_class=NotFoundHandler,
        log_function=log_request,
        **settings,
    )
