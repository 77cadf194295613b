"""`/api/swagger.json` and `/api/swagger.yaml`: the API, described from the route table that serves it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, ClassVar

import yaml

from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.operations import Operation
from enterprise_gateway.handlers.routing import Route
from enterprise_gateway.handlers.schemas import SCHEMAS

_IN_PATH = re.compile(r"\{(\w+)\}")

_EVERYWHERE = {
    401: "The request has no token that fits.",
    403: "The request may not be made from there, or not by this user.",
    503: "The database or the cluster can't answer now. Nothing is lost; try again after Retry-After seconds.",
}


class SwaggerJsonHandler(ApiHandler):
    """The description as JSON."""

    operations: ClassVar = {"GET": Operation(summary="Get this description as JSON")}

    async def get(self) -> None:
        """Return it."""
        self.reply(self._document())

    def _document(self) -> dict[str, Any]:
        options = self.gateway.options
        return document(self.settings["routes"], base_path=options.prefix, version=options.version)


class SwaggerYamlHandler(SwaggerJsonHandler):
    """The description as YAML."""

    operations: ClassVar = {"GET": Operation(summary="Get this description as YAML", produces="text/x-yaml")}

    async def get(self) -> None:
        """Return it."""
        self.set_header("Content-Type", "text/x-yaml; charset=UTF-8")
        self.finish(yaml.safe_dump(self._document(), sort_keys=False, allow_unicode=True))


def document(routes: Iterable[Route], *, base_path: str, version: str) -> dict[str, Any]:
    """Return the Swagger 2.0 document of these routes; pure."""
    built = {
        "swagger": "2.0",
        "info": {
            "title": "Jupyter Enterprise Gateway API",
            "description": "Kernels on any replica, for Jupyter's clients and others.",
            "version": version or "0",
        },
        "basePath": base_path.rstrip("/") or "/",
        "produces": ["application/json"],
        "consumes": ["application/json"],
        "securityDefinitions": {
            "token": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": "`token …` or `Bearer …`; or the argument `?token=…`. Only where one is configured.",
            }
        },
        "paths": {route.path: _methods(route) for route in routes if route.handler.operations},
        "definitions": SCHEMAS,
    }
    # A copy without shared parts: YAML would write those as anchors, which people don't read.
    copied: dict[str, Any] = json.loads(json.dumps(built))
    return copied


def _methods(route: Route) -> dict[str, Any]:
    needs_token = route.handler.needs_token
    return {
        "parameters": [
            {"name": name, "in": "path", "required": True, "type": "string"} for name in _IN_PATH.findall(route.path)
        ],
        **{
            method.lower(): _operation(method, route, operation, needs_token=needs_token)
            for method, operation in route.handler.operations.items()
        },
    }


def _operation(method: str, route: Route, operation: Operation, *, needs_token: bool) -> dict[str, Any]:
    return {
        "summary": operation.summary,
        "operationId": f"{method.lower()}{route.handler.__name__.removesuffix('Handler')}",
        "tags": [route.handler.auth_resource or "server"],
        "produces": [operation.produces],
        "parameters": _parameters(operation),
        "responses": _responses(operation, needs_token=needs_token),
        "security": [{"token": []}] if needs_token else [],
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = [
        {"name": parameter.name, "in": parameter.place, "type": "string", "description": parameter.description}
        for parameter in operation.parameters
    ]
    if operation.body is not None:
        given.append({"name": "body", "in": "body", "schema": _reference(operation.body)})
    return given


def _responses(operation: Operation, *, needs_token: bool) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if operation.returns is not None:
        success["schema"] = _reference(operation.returns)
    if operation.returns is None and operation.produces == "application/octet-stream":
        success["schema"] = {"type": "file"}
    errors = {**(_EVERYWHERE if needs_token else {503: "It is not."}), **operation.errors}
    schema = _reference("Error" if needs_token else "Health")
    refused = {str(status): {"description": text, "schema": schema} for status, text in sorted(errors.items())}
    return {str(operation.status): success, **refused}


def _reference(name: str) -> dict[str, Any]:
    if name.startswith("["):
        return {"type": "array", "items": _reference(name.strip("[]"))}
    return {"$ref": f"#/definitions/{name}"}
