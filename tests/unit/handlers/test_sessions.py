from __future__ import annotations

import json
from typing import Any

import pytest

from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from tests.unit.handlers.server import KERNEL_ID, OTHER_ID, Server, error_of, serving

NEW = {"path": "a.ipynb", "type": "notebook"}
ONE = f"/api/sessions/{OTHER_ID}"


def asked_session(server: Server) -> SessionRequest:
    (request,) = server.sessions.asked
    assert isinstance(request, SessionRequest)
    return request


def asked_changes(server: Server) -> SessionChanges:
    ((session_id, changes),) = server.sessions.asked
    assert session_id == OTHER_ID
    assert isinstance(changes, SessionChanges)
    return changes


async def test_sessions_are_listed(server: Server) -> None:
    response = await server.ask("GET", "/api/sessions")
    assert (response.code, json.loads(response.body)[0]["id"]) == (200, OTHER_ID)


async def test_a_list_is_403_where_listing_is_off() -> None:
    async with serving(list_kernels=False) as server:
        assert (await server.ask("GET", "/api/sessions")).code == 403


async def test_a_post_answers_201_with_the_session_and_its_location(server: Server) -> None:
    kernel = {"name": "python3", "id": None}
    response = await server.ask("POST", "/api/sessions", {**NEW, "name": "", "kernel": kernel})
    assert response.code == 201
    assert json.loads(response.body)["path"] == "a.ipynb"
    assert response.headers["Location"] == ONE
    request = asked_session(server)
    assert (request.path, request.name, request.type) == ("a.ipynb", "", "notebook")
    assert (request.start.name, request.start.kernel_id, request.start.path) == ("python3", None, "a.ipynb")


async def test_a_session_may_name_its_kernel_by_id(server: Server) -> None:
    await server.ask("POST", "/api/sessions", {**NEW, "kernel": {"id": KERNEL_ID}})
    assert asked_session(server).start.kernel_id == KERNEL_ID


async def test_a_session_may_give_an_env(server: Server) -> None:
    await server.ask("POST", "/api/sessions", {**NEW, "kernel": {"env": {"KERNEL_USERNAME": "bob"}}})
    assert asked_session(server).start.username == "bob"


async def test_the_older_form_of_a_notebook_is_understood(server: Server) -> None:
    response = await server.ask("POST", "/api/sessions", {"notebook": {"path": "b.ipynb"}})
    assert response.code == 201
    assert (asked_session(server).path, asked_session(server).type) == ("b.ipynb", "notebook")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "No JSON data provided"),
        ([], "The body must be a JSON object, not a list."),
        ({"type": "notebook"}, "Missing field in JSON data: path"),
        ({"path": "a"}, "Missing field in JSON data: type"),
        ({**NEW, "path": 1}, "path must be text, not a number."),
        ({**NEW, "path": "a" * 4097}, "path is longer than 4096 characters."),
        ({**NEW, "type": {}}, "type must be text, not an object."),
        ({**NEW, "name": []}, "name must be text, not a list."),
        ({**NEW, "kernel": "python3"}, "kernel must be a JSON object, not text."),
        ({**NEW, "kernel": {"id": "x"}}, "kernel.id must be a UUID"),
        ({**NEW, "kernel": {"name": 1}}, "kernel.name must be text, not a number."),
        ({**NEW, "kernel": {"env": 1}}, "kernel.env must be a JSON object, not a number."),
        ({**NEW, "notebook": 1}, "notebook must be a JSON object, not a number."),
    ],
)
async def test_a_body_that_makes_no_sense_is_400_and_says_why(server: Server, body: Any, says: str) -> None:
    response = await server.ask("POST", "/api/sessions", body)
    assert response.code == 400
    assert says in error_of(response)["message"]
    assert server.sessions.asked == []


async def test_get_returns_one_session(server: Server) -> None:
    response = await server.ask("GET", ONE)
    assert (response.code, json.loads(response.body)["id"]) == (200, OTHER_ID)


@pytest.mark.parametrize("session_id", ["x", "%00", KERNEL_ID])
async def test_an_unknown_session_is_404(server: Server, session_id: str) -> None:
    response = await server.ask("GET", f"/api/sessions/{session_id}")
    assert response.code == 404
    error_of(response)


async def test_a_patch_renames_and_leaves_the_rest(server: Server) -> None:
    response = await server.ask("PATCH", ONE, {"path": "c.ipynb"})
    assert response.code == 200
    assert asked_changes(server) == SessionChanges(path="c.ipynb")


async def test_a_patch_with_the_whole_session_changes_the_kernel_by_its_id(server: Server) -> None:
    kernel = {"id": KERNEL_ID, "name": "python3", "last_activity": "x", "connections": 0}
    await server.ask("PATCH", ONE, {"id": OTHER_ID, "name": "n", "type": "console", "kernel": kernel})
    assert asked_changes(server) == SessionChanges(name="n", type="console", kernel_id=KERNEL_ID)


async def test_a_patch_with_a_kernels_name_starts_one(server: Server) -> None:
    await server.ask("PATCH", ONE, {"kernel": {"id": None, "name": "ir"}})
    start = asked_changes(server).start
    assert start is not None
    assert start.name == "ir"


@pytest.mark.parametrize("body", [None, [], {"kernel": 1}, {"kernel": {"id": "x"}}, {"name": 1}])
async def test_a_patch_that_makes_no_sense_is_400(server: Server, body: Any) -> None:
    response = await server.ask("PATCH", ONE, body)
    assert response.code == 400
    error_of(response)


async def test_delete_answers_204(server: Server) -> None:
    response = await server.ask("DELETE", ONE)
    assert (response.code, response.body) == (204, b"")
    assert server.sessions.asked == [("delete", OTHER_ID)]
