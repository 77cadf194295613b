from __future__ import annotations

import json
import re
from typing import Any

import yaml
from tornado.web import RequestHandler

from enterprise_gateway.handlers.routes import ROUTES
from enterprise_gateway.handlers.schemas import SCHEMAS
from enterprise_gateway.handlers.swagger import document
from tests.unit.handlers.server import Server

VERBS = ("get", "head", "post", "put", "patch", "delete")


def references(value: Any) -> set[str]:
    return set(re.findall(r"#/definitions/(\w+)", json.dumps(value)))


async def test_json_and_yaml_say_the_same(server: Server) -> None:
    as_json = await server.ask("GET", "/api/swagger.json")
    as_yaml = await server.ask("GET", "/api/swagger.yaml")
    assert as_yaml.headers["Content-Type"].startswith("text/x-yaml")
    assert yaml.safe_load(as_yaml.body) == json.loads(as_json.body)
    assert b"&id" not in as_yaml.body


def test_every_route_and_method_is_described_and_nothing_else() -> None:
    paths = document(ROUTES, base_path="/", version="1")["paths"]
    served = {
        (route.path, verb)
        for route in ROUTES
        for verb in VERBS
        if getattr(route.handler, verb) is not getattr(RequestHandler, verb)
    }
    described = {(path, verb) for path, methods in paths.items() for verb in methods if verb != "parameters"}
    assert described == served


def test_every_schema_that_is_named_exists_and_is_used() -> None:
    built = document(ROUTES, base_path="/", version="1")
    assert references(built["paths"]) | references(SCHEMAS) == set(SCHEMAS)


def test_operation_ids_are_unique() -> None:
    paths = document(ROUTES, base_path="/", version="1")["paths"]
    ids = [
        operation["operationId"]
        for methods in paths.values()
        for verb, operation in methods.items()
        if verb != "parameters"
    ]
    assert len(ids) == len(set(ids))


def test_arguments_of_the_path_are_named() -> None:
    paths = document(ROUTES, base_path="/gw/", version="1")["paths"]
    named = [parameter["name"] for parameter in paths["/kernelspecs/{kernel_name}/{file}"]["parameters"]]
    assert named == ["kernel_name", "file"]
