"""The database goes away at one step of a start, a restart or a shutdown: the act goes on when it is back.

At each step in three ways: the step's write never arrives, arrives late, or is made and its answer lost. At the first
one nobody knows whether the act has begun: that is 503 at once, and done or not done when the database is back.

The clients ask again when they are told 503, as the answer says. That it comes once more after the database is back is
no fault: PyMongo refuses an operation for a moment whose time is shorter than what the server's last answers took, and
an act that was overdue is somebody else's by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cluster.light_kernels import LIGHT
from tests.cluster.outages import Database, behind_a_proxy, known_away, known_back
from tests.cluster.replicas import Cluster
from tests.cluster.rest import Insistent
from tests.cluster.waiting import PATIENCE_SECONDS, eventually
from tests.mongo_proxy import Command, Fate, Trap, Wanted

KEY = "Idempotency-Key"
FATES = tuple(Fate)


def sets(field: str, value: Any = None) -> Wanted:
    """A step that sets this field of a kernel's record, to this value if one is given."""

    def wanted(command: Command) -> bool:
        update = command.get("update", {}) if command.get("findAndModify") == "kernels" else {}
        values = update.get("$set", {})
        return field in values and value in (None, values[field])

    return wanted


def inserts(command: Command) -> bool:
    return command.get("insert") == "kernels"


def forgets_the_former(command: Command) -> bool:
    return command.get("findAndModify") == "kernels" and command["update"] == {"$unset": {"former": ""}}


LAUNCH: dict[str, Wanted] = {
    "insert": inserts,
    "store process": sets("process"),
    "mark running": sets("phase", "running"),
}
RESTART: dict[str, Wanted] = {
    "claim restart": sets("phase", "restarting"),
    "former is dead": forgets_the_former,
    "store process": sets("process"),
    "mark running": sets("phase", "running"),
}
SESSION: dict[str, Wanted] = {"insert session": lambda command: command.get("insert") == "sessions"}
STOP: dict[str, Wanted] = {"claim stop": sets("phase", "stopping"), "end act": sets("phase", "ended")}


def grid(steps: Iterable[str]) -> pytest.MarkDecorator:
    """Each step with each fate; without --soak each step with one."""
    cases = [
        pytest.param(step, fate, marks=() if turn % len(FATES) == number else pytest.mark.soak)
        for turn, step in enumerate(steps)
        for number, fate in enumerate(FATES)
    ]
    return pytest.mark.parametrize(("step", "fate"), cases)


@pytest.fixture(scope="module")
def trio(database: Database) -> Iterator[Cluster]:
    with behind_a_proxy(database, EG_SHUTDOWN_WAIT_TIME="2") as cluster:
        cluster.start(2)
        yield cluster


@pytest.fixture
async def rest(trio: Cluster, database: Database) -> AsyncIterator[Insistent]:
    """A client of the trio; afterwards no kernel is left, in the lists or on the host."""
    async with Insistent(trio.urls, trio.token) as client:
        yield client
        database.proxy.pass_on()  # also where the test has failed before it did
        for kernel_id in await client.listed():
            await client.request("DELETE", f"/api/kernels/{kernel_id}")
        await eventually(lambda: not trio.kernel_processes(), "no kernel of the test is left on the host")


async def through(
    rest: Insistent, database: Database, trap: Trap, method: str, path: str, **options: Any
) -> httpx.Response:
    """Ask replica 0, let the trap spring, the outage be known and end; return what is answered in the end."""
    request = begin(rest, method, path, **options)
    await eventually(trap.given_up.is_set, "the step has no answer")
    await known_away(rest)
    database.proxy.pass_on()
    await known_back(rest)
    answer = await request
    # It was in doubt whether it has begun, or took so long that it was overdue.
    return await rest.request(method, path, on=0, **options) if answer.status_code == 503 else answer


def begin(rest: Insistent, method: str, path: str, **options: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.ensure_future(rest.once(method, path, on=0, **options))


@grid(LAUNCH)
async def test_a_start_goes_on(rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate) -> None:
    trap = database.proxy.swallow_at(LAUNCH[step], fate)
    kernel_id = str(uuid4())
    body = {"name": LIGHT, "kernel_id": kernel_id}
    answer = await through(rest, database, trap, "POST", "/api/kernels", body=body)
    assert answer.status_code == 201, answer.text
    assert await rest.listed() == {kernel_id}
    assert await rest.run(kernel_id, "print(1)", on=1) == "1"
    assert [process.kernel_id for process in trio.kernel_processes()] == [kernel_id]


@grid([*LAUNCH][:2])
async def test_a_start_that_does_not_get_through_in_time_leaves_nothing(
    rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate
) -> None:
    body = {"name": LIGHT, "env": {"KERNEL_LAUNCH_TIMEOUT": "5"}}  # it gets to that step before
    trap = database.proxy.swallow_at(LAUNCH[step], fate)
    answer = await begin(rest, "POST", "/api/kernels", body=body)
    assert trap.sprung.is_set()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), answer.text
    assert not trio.kernel_processes()
    database.proxy.pass_on()
    await known_back(rest)
    await eventually(lambda: not live(trio), "no record of it is left alive")
    assert await rest.listed() == set()
    assert not trio.kernel_processes()


PATIENT = {"KERNEL_LAUNCH_TIMEOUT": "600"}


@pytest.mark.parametrize("fate", FATES)
async def test_a_start_that_may_not_have_begun_is_503_at_once_and_leaves_nothing(
    rest: Insistent, trio: Cluster, database: Database, fate: Fate
) -> None:
    database.proxy.swallow_at(LAUNCH["insert"], fate)
    await refused_at_once(rest, "POST", "/api/kernels", body={"name": LIGHT, "env": PATIENT})
    database.proxy.pass_on()
    await known_back(rest)
    await eventually(lambda: not live(trio), "no record of it is left alive")
    assert not trio.kernel_processes()


@pytest.mark.parametrize("fate", FATES)
async def test_a_start_that_may_not_have_begun_is_503_at_once_and_found_by_its_id(
    rest: Insistent, trio: Cluster, database: Database, fate: Fate
) -> None:
    kernel_id = str(uuid4())
    body = {"name": LIGHT, "env": PATIENT, "kernel_id": kernel_id}
    database.proxy.swallow_at(LAUNCH["insert"], fate)
    await refused_at_once(rest, "POST", "/api/kernels", body=body)
    database.proxy.pass_on()
    await rest.expect(201, "POST", "/api/kernels", on=1, body=body)
    assert await rest.run(kernel_id, "print(1)", on=1) == "1"
    assert [process.kernel_id for process in trio.kernel_processes()] == [kernel_id]


@pytest.mark.parametrize("fate", FATES)
async def test_a_restart_that_may_not_have_begun_is_503_at_once_and_the_kernel_works(
    rest: Insistent, trio: Cluster, database: Database, fate: Fate
) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT, env=PATIENT)
    await rest.run(kernel_id, "x = 1")
    database.proxy.swallow_at(RESTART["claim restart"], fate)
    await refused_at_once(rest, "POST", f"/api/kernels/{kernel_id}/restart")
    database.proxy.pass_on()
    await known_back(rest)
    await eventually(lambda: in_line(trio), "record and process are in line")
    await rest.expect(200, "POST", f"/api/kernels/{kernel_id}/restart")
    assert await rest.run(kernel_id, "print('x' in globals())", on=1) == "False"


async def refused_at_once(rest: Insistent, method: str, path: str, **options: Any) -> None:
    """The answer comes while the database is away, and long before the request's own deadline."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await begin(rest, method, path, **options)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), answer.text
    assert "database" in answer.json()["message"]


TOO_LONG = {  # what the act does, at which of its steps, and how many kernels may be left
    "start": (LAUNCH["mark running"],),
    "restart": tuple(RESTART.values())[1:],
    "stop": tuple(STOP.values())[1:],
}


@pytest.mark.soak
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(("act", "wanted"), [(act, wanted) for act, steps in TOO_LONG.items() for wanted in steps])
async def test_what_does_not_get_through_in_time_is_finished_when_it_is_back(
    rest: Insistent, trio: Cluster, database: Database, act: str, wanted: Wanted, fate: Fate
) -> None:
    timeout = {"KERNEL_LAUNCH_TIMEOUT": "8"}
    kernel_id = str(uuid4()) if act == "start" else await rest.start(on=0, name=LIGHT, env=timeout)
    requests = {
        "start": ("POST", "/api/kernels", {"name": LIGHT, "kernel_id": kernel_id, "env": timeout}),
        "restart": ("POST", f"/api/kernels/{kernel_id}/restart", {}),
        "stop": ("DELETE", f"/api/kernels/{kernel_id}", None),
    }
    method, path, body = requests[act]
    trap = database.proxy.swallow_at(wanted, fate)
    answer = await begin(rest, method, path, body=body)
    assert trap.sprung.is_set()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), answer.text
    database.proxy.pass_on()
    await known_back(rest)
    await eventually(lambda: in_line(trio), "records and processes are in line", seconds=60)
    left = set(live(trio))
    assert await rest.listed() == left
    for running in left:
        assert await rest.run(running, "print(1)", on=1) == "1"


def in_line(trio: Cluster) -> bool:
    """Is every record ended or running, and is there one process for each that is running?"""
    found = {document["_id"]: document for document in trio.documents("kernels") if document["phase"] != "ended"}
    running = all(document["phase"] == "running" for document in found.values())
    return running and sorted(found) == sorted(process.kernel_id for process in trio.kernel_processes())


def live(trio: Cluster) -> list[str]:
    return [document["_id"] for document in trio.documents("kernels") if document["phase"] != "ended"]


@grid(SESSION)
async def test_a_session_is_opened(rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate) -> None:
    notebook = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": LIGHT}}
    trap = database.proxy.swallow_at(SESSION[step], fate)
    answer = await through(rest, database, trap, "POST", "/api/sessions", body=notebook)
    assert answer.status_code == 201, answer.text
    assert [session["id"] for session in await rest.get("/api/sessions", on=1)] == [answer.json()["id"]]
    assert await rest.listed() == {answer.json()["kernel"]["id"]}


@grid(RESTART)
async def test_a_restart_goes_on(rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    await rest.run(kernel_id, "x = 1")
    trap = database.proxy.swallow_at(RESTART[step], fate)
    answer = await through(rest, database, trap, "POST", f"/api/kernels/{kernel_id}/restart")
    assert answer.status_code == 200, answer.text
    assert await rest.run(kernel_id, "print('x' in globals())", on=1) == "False"
    (process,) = trio.kernel_processes(kernel_id)
    assert process.generation == trio.document(kernel_id)["generation"] >= 2


@grid(STOP)
async def test_a_shutdown_goes_on(rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate) -> None:
    kernel_id = await rest.start(on=0, name=LIGHT)
    trap = database.proxy.swallow_at(STOP[step], fate)
    answer = await through(rest, database, trap, "DELETE", f"/api/kernels/{kernel_id}")
    assert answer.status_code == 204 or (step == "claim stop" and answer.status_code == 404), answer.text
    await rest.get(f"/api/kernels/{kernel_id}", on=1, expect=404)
    assert not trio.kernel_processes(kernel_id)


@grid(reversed(LAUNCH))
async def test_a_start_that_is_repeated_by_its_key_makes_one_kernel(
    rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate
) -> None:
    options = {"body": {"name": LIGHT}, "headers": {KEY: uuid4().hex}}
    trap = database.proxy.swallow_at(LAUNCH[step], fate)
    first = begin(rest, "POST", "/api/kernels", **options)
    await eventually(trap.given_up.is_set, "the step has no answer")
    first.cancel()  # its client is gone, and comes back
    await known_away(rest)
    assert (await rest.once("POST", "/api/kernels", on=1, **options)).status_code == 503
    database.proxy.pass_on()
    await known_back(rest)
    answer = await rest.expect(201, "POST", "/api/kernels", on=1, **options)
    kernel_id = answer.json()["id"]
    assert await rest.run(kernel_id, "print(1)", on=1) == "1"
    assert [process.kernel_id for process in trio.kernel_processes()] == [kernel_id]


@grid(["mark running", "insert session"])
async def test_what_was_started_for_a_client_that_has_gone_is_stopped_at_whatever_step_he_went(
    rest: Insistent, trio: Cluster, database: Database, step: str, fate: Fate
) -> None:
    notebook = {"path": "gone.ipynb", "type": "notebook", "kernel": {"name": LIGHT}}
    trap = database.proxy.swallow_at({**LAUNCH, **SESSION}[step], fate)
    opening = begin(rest, "POST", "/api/sessions", body=notebook)
    await eventually(trap.given_up.is_set, "the step has no answer")
    opening.cancel()
    await known_away(rest)
    database.proxy.pass_on()
    await known_back(rest)
    await eventually(lambda: not live(trio) and not trio.kernel_processes(), "no kernel is left")
    await eventually(lambda: not trio.documents("sessions", {"path": "gone.ipynb"}), "nor a session")
