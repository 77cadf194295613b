from __future__ import annotations

import errno
import json
from typing import Any

import pytest

from enterprise_gateway.errors import conflict, forbidden
from enterprise_gateway.kernels.requests import StartRequest
from persistence.errors import SealingKeyMissing, StaleWrite, StoreUnavailable
from tests.unit.handlers.server import KERNEL_ID, OTHER_ID, Server, error_of, kernel_model, serving


def asked_start(server: Server) -> StartRequest:
    (asked,) = server.kernels.asked
    assert asked[0] == "start"
    request = asked[1]
    assert isinstance(request, StartRequest)
    return request


async def test_a_list_is_what_the_service_says(server: Server) -> None:
    response = await server.ask("GET", "/api/kernels")
    assert response.code == 200
    assert json.loads(response.body) == await server.kernels.list_models()
    assert response.headers["Content-Type"] == "application/json"


async def test_a_list_is_403_where_listing_is_off() -> None:
    async with serving(list_kernels=False) as server:
        response = await server.ask("GET", "/api/kernels")
        assert response.code == 403
        assert "EG_LIST_KERNELS" in error_of(response)["message"]
        assert server.kernels.asked == []


async def test_a_post_answers_201_with_the_model_and_its_location(server: Server) -> None:
    response = await server.ask("POST", "/api/kernels", {"name": "python3", "path": "a/b.ipynb", "env": {"A": "1"}})
    assert response.code == 201
    assert json.loads(response.body) == kernel_model()
    assert response.headers["Location"] == f"/api/kernels/{KERNEL_ID}"
    request = asked_start(server)
    assert (request.name, request.path, request.env) == ("python3", "a/b.ipynb", {"A": "1"})
    assert (request.username, request.kernel_id, request.idempotency_key) == ("alice", None, None)


@pytest.mark.parametrize("raw", [b"", b"  \n", b"null", b"{}", b'{"name": null, "path": null, "env": null}'])
async def test_a_post_that_names_nothing_asks_for_the_default_kernel(server: Server, raw: bytes) -> None:
    response = await server.ask("POST", "/api/kernels", raw=raw)
    assert response.code == 201
    request = asked_start(server)
    assert (request.name, request.path, request.env) == (None, None, {})


async def test_the_user_is_kernel_username(server: Server) -> None:
    await server.ask("POST", "/api/kernels", {"env": {"KERNEL_USERNAME": "bob"}})
    assert asked_start(server).username == "bob"


@pytest.mark.parametrize("body", [{"kernel_id": OTHER_ID.upper()}, {"env": {"KERNEL_ID": OTHER_ID}}])
async def test_a_client_chooses_the_id_in_the_body_or_the_env(server: Server, body: dict[str, Any]) -> None:
    response = await server.ask("POST", "/api/kernels", body)
    assert json.loads(response.body)["id"] == OTHER_ID
    assert asked_start(server).repeatable


async def test_an_idempotency_key_goes_with_the_request(server: Server) -> None:
    await server.ask("POST", "/api/kernels", {}, headers={"Idempotency-Key": "abc"})
    assert asked_start(server).idempotency_key == "abc"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "The body must be a JSON object, not a list."),
        (7, "The body must be a JSON object, not a number."),
        ({"name": 7}, "name must be text, not a number."),
        ({"name": ["a"]}, "name must be text, not a list."),
        ({"name": "a" * 256}, "name is longer than 255 characters."),
        ({"name": "a\0"}, "name must not hold NUL characters."),
        ({"path": "\ud800"}, "path holds half of a surrogate pair, which is no text."),
        ({"env": [1]}, "env must be a JSON object, not a list."),
        ({"env": {"A": 1}}, "env.A must be text, not a number."),
        ({"env": {"A": None}}, "env.A must be text, not null."),
        ({"env": {"A=B": "1"}}, "env has a name that is empty or holds '=': 'A=B'."),
        ({"env": {"": "1"}}, "env has a name that is empty or holds '=': ''."),
        ({"env": {"A": "x" * 131072}}, "env.A is too long"),
        ({"kernel_id": "nonsense"}, "kernel_id must be a UUID"),
        ({"kernel_id": True}, "kernel_id must be text, not true or false."),
        ({"env": {"KERNEL_ID": "../../etc"}}, "env.KERNEL_ID must be a UUID"),
        ({"kernel_id": KERNEL_ID, "env": {"KERNEL_ID": OTHER_ID}}, "name two different kernels"),
    ],
)
async def test_a_body_that_makes_no_sense_is_400_and_says_why(server: Server, body: Any, says: str) -> None:
    response = await server.ask("POST", "/api/kernels", body)
    assert response.code == 400
    assert says in error_of(response)["message"]
    assert server.kernels.asked == []


@pytest.mark.parametrize("key", ["", "with blank", "x" * 256])
async def test_an_unusable_idempotency_key_is_400(server: Server, key: str) -> None:
    response = await server.ask("POST", "/api/kernels", {}, headers={"Idempotency-Key": key})
    assert response.code == 400
    assert "Idempotency-Key" in error_of(response)["message"]


async def test_get_returns_the_model_whatever_the_case_of_the_id(server: Server) -> None:
    response = await server.ask("GET", f"/api/kernels/{KERNEL_ID}")
    assert (response.code, json.loads(response.body)) == (200, kernel_model())


async def test_delete_answers_204_without_a_body(server: Server) -> None:
    response = await server.ask("DELETE", f"/api/kernels/{KERNEL_ID}")
    assert (response.code, response.body) == (204, b"")
    assert server.kernels.asked == [("shutdown", KERNEL_ID)]


async def test_interrupt_answers_204(server: Server) -> None:
    response = await server.ask("POST", f"/api/kernels/{KERNEL_ID}/interrupt", {})
    assert (response.code, response.body) == (204, b"")
    assert server.kernels.asked == [("interrupt", KERNEL_ID)]


async def test_restart_answers_200_with_the_model(server: Server) -> None:
    response = await server.ask("POST", f"/api/kernels/{KERNEL_ID}/restart", raw=b"")
    assert (response.code, json.loads(response.body)) == (200, kernel_model())


@pytest.mark.parametrize(
    "kernel_id", ["x", "..", "%00", "%2e%2e%2fetc", "1-2-3-4-5", "%F0%9F%92%A9", OTHER_ID, "a" * 3000, "{kernel_id}"]
)
@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt")]
)
async def test_an_unknown_or_impossible_id_is_404(server: Server, kernel_id: str, method: str, tail: str) -> None:
    response = await server.ask(method, f"/api/kernels/{kernel_id}{tail}")
    assert response.code == 404
    error_of(response)


async def test_an_id_that_is_not_utf8_is_400(server: Server) -> None:
    response = await server.ask("GET", "/api/kernels/%ff")
    assert response.code == 400
    assert "UTF-8" in error_of(response)["message"]


async def test_a_refusal_of_the_service_keeps_its_status_reason_and_message(server: Server) -> None:
    server.kernels.failure = forbidden("You have 5 kernels.", "Too many kernels")
    response = await server.ask("POST", "/api/kernels", {})
    assert (response.code, response.reason) == (403, "Too many kernels")
    assert error_of(response) == {"reason": "Too many kernels", "message": "You have 5 kernels."}


async def test_a_reason_that_no_status_line_can_hold_is_made_plain(server: Server) -> None:
    server.kernels.failure = conflict("Fine.", "Zeilen\r\numbruch: <ü>")
    response = await server.ask("GET", "/api/kernels")
    assert (response.code, response.reason) == (409, "Zeilen??umbruch: ??>")


@pytest.mark.parametrize(
    "failure",
    [StoreUnavailable("x"), SealingKeyMissing("x"), StaleWrite("x"), OSError(errno.EMFILE, "x"), MemoryError()],
)
async def test_trouble_in_the_cluster_is_503_with_retry_after(server: Server, failure: Exception) -> None:
    server.kernels.failure = failure
    response = await server.ask("GET", f"/api/kernels/{KERNEL_ID}")
    assert response.code == 503
    assert int(response.headers["Retry-After"]) > 0
    error_of(response)


async def test_an_unexpected_error_is_500_that_names_the_log_and_tells_nothing(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.kernels.failure = RuntimeError("secret detail")
    response = await server.ask("GET", "/api/kernels?token=s3cret")
    assert (response.code, response.reason) == (500, "Internal error")
    message = error_of(response)["message"]
    (record,) = [entry for entry in caplog.records if entry.exc_info]
    assert record.args is not None
    assert str(record.args[0]) in message  # type: ignore[index]
    assert b"secret detail" not in response.body
    assert "s3cret" not in caplog.text
