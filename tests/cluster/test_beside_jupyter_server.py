"""A replica beside a real `jupyter server`: the same requests to both, and what a client relies on compared.

Nothing is expected by hand but the differences. Each is in one of the two tables below, under the reason that
`docs/compatibility.md` gives for it. Any other fails, and so does one of `OF_REQUESTS` that is no longer there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from enterprise_gateway import __version__
from tests.cluster.alike import ABSENT, Ask, Differences, Side, differences
from tests.cluster.conftest import SHOWN
from tests.cluster.jupyter_servers import start_jupyter
from tests.cluster.processes import ServerProcess
from tests.cluster.replicas import ROOT, Cluster
from tests.fakes import light_kernel

TOKEN = "token-of-the-jupyter-server"
QUICK = "quick"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NO_UUID = "it-is-no-uuid-today"  # jupyter_server takes it, and can delete only what has four hyphens
CHOSEN = "6d1f6e3c-8f5d-4b0a-9c57-2f1f0f1c2a3b"
NOTEBOOK = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": QUICK}}
PAGE = {"Origin": "https://page.example"}

PREFLIGHTS = [
    Ask("OPTIONS", path, headers=PAGE)
    for path in (
        "/api",
        "/api/kernels",
        f"/api/kernels/{UNKNOWN}",
        f"/api/kernels/{UNKNOWN}/restart",
        "/api/sessions",
        f"/api/sessions/{UNKNOWN}",
        "/api/kernelspecs",
    )
]
STRANGERS = [
    Ask("GET", path, headers={"Authorization": authorization}, title=f"GET {path} {title}")
    for title, authorization in (("without a token", ""), ("with a wrong token", "token wrong"))
    for path in ("/api", "/api/kernels", "/api/sessions", "/api/kernelspecs", f"/api/kernels/{UNKNOWN}")
]
COURSES: dict[str, list[Ask]] = {
    "kernelspecs": [
        Ask("GET", "/api/kernelspecs"),
        Ask("GET", "/api/kernelspecs/python3"),
        Ask("GET", "/api/kernelspecs/nosuch"),
        Ask("POST", "/api/kernelspecs", {}),
        Ask("DELETE", "/api/kernelspecs/python3"),
        Ask("GET", "/kernelspecs/python3/logo-64x64.png"),
        Ask("HEAD", "/kernelspecs/python3/logo-64x64.png"),
        Ask("GET", "/kernelspecs/python3/logo-64x64.png", headers={"If-None-Match": "*"}, title="GET a logo again"),
        Ask("GET", "/kernelspecs/python3/logo-svg.svg"),
        Ask("GET", "/kernelspecs/python3/kernel.json"),
        Ask("GET", "/kernelspecs/python3/nosuch.png"),
        Ask("GET", "/kernelspecs/nosuch/logo-64x64.png"),
    ],
    "the server": [
        Ask("GET", "/api"),
        Ask("GET", "/api/status"),
        Ask("GET", "/api/me"),
        Ask("GET", "/api/me?permissions=x"),
        Ask("GET", "/api/nosuch"),
        Ask("GET", "/api/kernels/"),
        Ask("GET", "/api/kernels", headers=PAGE, title="GET by a page of another origin"),
    ],
    "preflights": PREFLIGHTS,
    "strangers": STRANGERS,
    "kernels": [
        Ask("GET", "/api/kernels", title="GET no kernels"),
        Ask("POST", "/api/kernels", title="POST a kernel without a body", keep="a"),
        Ask("POST", "/api/kernels", {}, title="POST a kernel of no name", keep="b"),
        Ask("DELETE", "/api/kernels/<b>"),
        Ask("POST", "/api/kernels", "null", title="POST null", keep="c"),
        Ask("DELETE", "/api/kernels/<c>"),
        Ask("POST", "/api/kernels", {"name": QUICK, "path": "x/a.ipynb", "kernel_id": CHOSEN}, keep="d"),
        Ask("POST", "/api/kernels", {"name": QUICK, "path": "x/a.ipynb", "kernel_id": CHOSEN}, title="POST a repeat"),
        Ask("GET", "/api/kernels"),
        Ask("GET", "/api/status"),
        Ask("DELETE", "/api/kernels/<d>"),
        Ask("GET", "/api/kernels/<a>"),
        # A kernel that was restarted has answered; jupyter_server could else interrupt its interpreter's own start.
        Ask("POST", "/api/kernels/<a>/restart"),
        Ask("POST", "/api/kernels/<a>/restart", {}, title="POST restart with a body"),
        Ask("POST", "/api/kernels/<a>/interrupt"),
        Ask("POST", "/api/kernels/<a>/interrupt", {}, title="POST interrupt with a body"),
        Ask("POST", "/api/kernels/<a>/nosuch"),
        Ask("PUT", "/api/kernels", {}),
        Ask("DELETE", "/api/kernels"),
        Ask("PATCH", "/api/kernels/<a>", {}),
        Ask("POST", "/api/kernels/<a>", {}),
        Ask("GET", "/api/kernels/<a>/interrupt"),
        Ask("DELETE", "/api/kernels/<a>/restart"),
        Ask("DELETE", "/api/kernels/<a>"),
        Ask("DELETE", "/api/kernels/<a>", title="DELETE a kernel again"),
        Ask("GET", "/api/kernels/<a>", title="GET a deleted kernel"),
        Ask("POST", "/api/kernels/<a>/interrupt", title="POST interrupt of a deleted kernel"),
        Ask("POST", "/api/kernels/<a>/restart", title="POST restart of a deleted kernel"),
        Ask("GET", "/api/kernels", title="GET no kernels any more"),
    ],
    "unknown kernels": [
        Ask("GET", f"/api/kernels/{UNKNOWN}"),
        Ask("DELETE", f"/api/kernels/{UNKNOWN}"),
        Ask("POST", f"/api/kernels/{UNKNOWN}/interrupt"),
        Ask("POST", f"/api/kernels/{UNKNOWN}/restart", title="POST restart of an unknown kernel"),
        Ask("GET", "/api/kernels/nosuch"),
        Ask("DELETE", "/api/kernels/nosuch"),
    ],
    "starts that are refused": [
        Ask("POST", "/api/kernels", {"name": "nosuch"}, title="POST a kernel of an unknown name"),
        Ask("POST", "/api/kernels", "{", title="POST no JSON"),
        Ask("POST", "/api/kernels", [], title="POST a list"),
        Ask("POST", "/api/kernels", {"name": 5}, title="POST a number as name"),
        Ask("POST", "/api/kernels", {"name": ""}, title="POST an empty name"),
        Ask("POST", "/api/kernels", {"name": QUICK, "kernel_id": NO_UUID}, title="POST an id that is no UUID"),
        Ask("POST", "/api/kernels", {"name": QUICK, "path": 5}, title="POST a number as path"),
    ],
    "sessions": [
        Ask("GET", "/api/sessions", title="GET no sessions"),
        Ask("POST", "/api/sessions", NOTEBOOK, keep="a"),
        Ask("POST", "/api/sessions", NOTEBOOK, title="POST a session again"),
        Ask("POST", "/api/sessions", {"path": "b", "type": "console"}, title="POST a session without a name", keep="b"),
        Ask("GET", "/api/sessions"),
        Ask("GET", "/api/sessions/<a>"),
        Ask("GET", "/api/kernels"),
        Ask("PATCH", "/api/sessions/<a>", {"path": "c.ipynb"}, title="PATCH path"),
        Ask("PATCH", "/api/sessions/<a>", {"name": "c"}, title="PATCH name"),
        Ask("PATCH", "/api/sessions/<a>", {"type": "file"}, title="PATCH type"),
        Ask("PATCH", "/api/sessions/<a>", {"notebook": {"path": "d.ipynb"}}, title="PATCH notebook"),
        Ask("PATCH", "/api/sessions/<a>", {}, title="PATCH nothing"),
        Ask("PATCH", "/api/sessions/<a>", {"kernel": {"name": QUICK}}, title="PATCH kernel.name"),
        Ask("PATCH", "/api/sessions/<a>", {"kernel": {"id": "<b's kernel>"}}, title="PATCH kernel.id"),
        Ask("GET", "/api/sessions", title="GET sessions that share a kernel"),
        Ask("POST", "/api/sessions/<a>", {}),
        Ask("PUT", "/api/sessions/<a>", {}),
        Ask("DELETE", "/api/sessions/<a>"),
        Ask("DELETE", "/api/sessions/<a>", title="DELETE a session again"),
        Ask("GET", "/api/sessions/<a>", title="GET a deleted session"),
        Ask("PATCH", "/api/sessions/<a>", {"path": "e"}, title="PATCH a deleted session"),
        Ask("GET", "/api/sessions", title="GET no sessions any more"),
    ],
    "sessions and their kernels": [
        Ask("POST", "/api/sessions", NOTEBOOK, keep="a"),
        Ask("POST", "/api/sessions", {**NOTEBOOK, "type": "console"}, title="POST a path with another type", keep="z"),
        Ask(
            "POST", "/api/sessions", {**NOTEBOOK, "path": "b", "kernel": {"id": "<a's kernel>"}}, "POST kernel.id", "b"
        ),
        Ask("POST", "/api/sessions", {"notebook": {"path": "c"}}, title="POST as in old times", keep="c"),
        Ask(
            "POST",
            "/api/sessions",
            {"notebook": {"name": "f", "path": "d/f"}, "name": "f"},
            title="POST a name beside a path as in old times",
            keep="f",
        ),
        Ask("POST", "/api/sessions", {**NOTEBOOK, "path": "e", "kernel": {"id": CHOSEN}}, "POST a new kernel.id", "e"),
        Ask("DELETE", "/api/kernels/<c's kernel>"),
        Ask("GET", "/api/sessions/<c>", title="GET a session whose kernel is gone"),
        Ask("DELETE", "/api/kernels/<e's kernel>"),
        Ask("DELETE", "/api/sessions/<e>", title="DELETE a session whose kernel is gone"),
        Ask("DELETE", "/api/sessions/<a>"),
    ],
    "sessions that are refused": [
        Ask("POST", "/api/sessions", NOTEBOOK, keep="a"),
        Ask("PATCH", "/api/sessions/<a>", {"kernel": {"name": "nosuch"}}, title="PATCH an unknown kernelspec"),
        Ask("PATCH", "/api/sessions/<a>", {"kernel": {"id": UNKNOWN}}, title="PATCH an unknown kernel"),
        Ask("PATCH", "/api/sessions/<a>", {"kernel": {"id": NO_UUID}}, title="PATCH an id that is no UUID"),
        Ask("PATCH", "/api/sessions/<a>", title="PATCH without a body"),
        Ask("PATCH", "/api/sessions/<a>", "{", title="PATCH no JSON"),
        Ask("PATCH", "/api/sessions/<a>", [], title="PATCH a list"),
        Ask("POST", "/api/sessions", title="POST a session without a body"),
        Ask("POST", "/api/sessions", "{", title="POST a session that is no JSON"),
        Ask("POST", "/api/sessions", [], title="POST a session that is a list"),
        Ask("POST", "/api/sessions", {}, title="POST a session without a path"),
        Ask("POST", "/api/sessions", {"path": "p"}, title="POST a session without a type"),
        Ask("POST", "/api/sessions", {"path": 5, "type": "file"}, title="POST a session whose path is a number"),
        Ask("POST", "/api/sessions", {**NOTEBOOK, "path": "k", "kernel": QUICK}, title="POST a kernel that is text"),
        Ask("POST", "/api/sessions", {**NOTEBOOK, "path": "n", "kernel": {"name": "nosuch"}}, title="POST nosuch"),
        Ask("PUT", "/api/sessions", {}),
        Ask("PATCH", "/api/sessions", {}),
        Ask("DELETE", "/api/sessions"),
        Ask("GET", f"/api/sessions/{UNKNOWN}"),
        Ask("PATCH", f"/api/sessions/{UNKNOWN}", {"path": "x"}),
        Ask("DELETE", f"/api/sessions/{UNKNOWN}"),
        Ask("GET", "/api/sessions/nosuch"),
        Ask("PATCH", "/api/sessions/<a>", {"path": 5}, title="PATCH a number as path"),
    ],
}

REFUSED = ("500", "400")
TAKEN = ("201", "400")
OF_ALL_REQUESTS: dict[str, set[tuple[str, str, str]]] = {
    "errors have one form at every address, and a short phrase that a program can tell them apart by": {
        ("Content-Type", "text/html", "application/json"),
        ("reason", "null", "text"),
        ("reason", ABSENT, "text"),
        ("traceback", "text", ABSENT),
        ("short_message", "text", ABSENT),
    },
    "HTTP asks for it": {
        ("Allow", ABSENT, f"{methods}, OPTIONS")
        for methods in ("GET", "POST", "GET, POST", "GET, DELETE", "GET, PATCH, DELETE")
    },
}
"""Differences that any answer may have, and the reasons."""

OF_REQUESTS: dict[str, dict[str, Differences]] = {
    "the request is wrong, not the server": {
        "POST a kernel of an unknown name": {"status": REFUSED},
        "POST nosuch": {"status": ("501", "400")},
        "PATCH an unknown kernelspec": {"status": ("501", "400")},
        "POST a list": {"status": REFUSED},
        "POST a number as name": {"status": REFUSED},
        "POST a session that is a list": {"status": REFUSED},
        "POST a session whose path is a number": {"status": REFUSED},
        "POST a kernel that is text": {"status": REFUSED},
    },
    "what is taken is shown to every client, and must be what they can read": {
        "POST a number as path": {"status": TAKEN},
        "POST an id that is no UUID": {"status": TAKEN},
        "PATCH a list": {"status": ("200", "400")},
        "PATCH a number as path": {"status": ("200", "400")},
    },
    "no name is no name, however it is said": {"POST an empty name": {"status": ("500", "201")}},
    "that a kernel is gone is no fault of the server": {
        "POST restart of an unknown kernel": {"status": ("500", "404")},
        "POST restart of a deleted kernel": {"status": ("500", "404")},
    },
    "JupyterLab takes only text for a name": {
        "POST a session without a name": {"name": ("null", '""')},
        "GET /api/sessions": {"[1].name": ("null", '""')},
        "GET sessions that share a kernel": {"[1].name": ("null", '""')},
        "POST as in old times": {"name": ("null", '""'), "notebook.name": ("null", '""')},
    },
    "a console beside a notebook is a session of its own": {
        "POST a path with another type": {
            "Location": ("/api/sessions/<a>", "/api/sessions/<z>"),
            "id": ('"<a>"', '"<z>"'),
            "type": ('"notebook"', '"console"'),
            "kernel.id": ('"<a\'s kernel>"', '"<z\'s kernel>"'),
            "notebook.path": ('"a.ipynb"', ABSENT),
            "notebook.name": ('"a.ipynb"', ABSENT),
        },
    },
    "a name may be the last part of the path only": {
        "POST a name beside a path as in old times": {"path": ('"f"', '"d/f"'), "notebook.path": ('"f"', '"d/f"')},
    },
    "what a token is for, and as Enterprise Gateway does": {
        ask.name: {"status": ("200", "401")}
        if ask.path == "/api"
        else {"status": ("403", "401"), "WWW-Authenticate": (ABSENT, "Bearer")}
        for ask in STRANGERS
    },
    "other origins are let in by `EG_ALLOW_ORIGIN` alone, as in Enterprise Gateway": {
        "GET by a page of another origin": {"Access-Control-Allow-Origin": (PAGE["Origin"], ABSENT)},
        **{
            ask.name: {
                "status": ("200", "204"),
                "Content-Type": ("application/json", ABSENT),
                "Access-Control-Allow-Origin": (PAGE["Origin"], ABSENT),
                "Access-Control-Allow-Methods": ("GET, PUT, POST, PATCH, DELETE, OPTIONS", ABSENT),
                "Access-Control-Allow-Headers": ("accept, content-type, authorization, x-xsrftoken", ABSENT),
            }
            for ask in PREFLIGHTS
        },
    },
    "as Enterprise Gateway": {
        "GET /api": {"gateway_version": (ABSENT, json.dumps(__version__))},
        "GET /api/kernels/": {"status": ("302", "404")},
    },
    "who has the token is the gateway's own user": {
        "GET /api/me": {
            "identity.initials": ("text", "null"),
            "permissions.updatable_fields": ('["name", "display_name", "initials", "avatar_url", "color"]', "[]"),
        },
    },
}
"""Differences that the answers to single requests have, and the reasons."""


@pytest.fixture(scope="module")
def gateway(mongod_uri: str) -> Iterator[Cluster]:
    """One replica, whose default kernel is a quick one."""
    with Cluster(mongod_uri, settings={"EG_DEFAULT_KERNEL_NAME": QUICK}) as cluster:
        folder = cluster.folder / ".local/share/jupyter/kernels" / QUICK
        folder.mkdir(parents=True)
        argv = [sys.executable, "-I", light_kernel.__file__, "{connection_file}"]
        (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": QUICK, "language": "python"}))
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def jupyter(gateway: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A Jupyter server that runs its kernels itself, of the same kernelspecs."""
    process = start_jupyter(
        "server",
        tmp_path_factory.mktemp("jupyter"),
        gateway_url=None,
        token=TOKEN,
        options=[f"--MultiKernelManager.default_kernel_name={QUICK}"],
        env={"JUPYTER_PATH": str(gateway.folder / ".local/share/jupyter")},
    )
    yield process
    process.kill()


@pytest.fixture
async def sides(
    gateway: Cluster, jupyter: ServerProcess, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Side, Side]]:
    """Jupyter's server and ours; afterwards no kernel is left on either."""
    request.node.stash.setdefault(SHOWN, []).append([jupyter, *gateway.replicas])
    both = Side(jupyter.url, TOKEN), Side(gateway.urls[0], gateway.token)
    yield both
    await asyncio.gather(*(side.close() for side in both))


@pytest.mark.parametrize("name", COURSES)
async def test_it_answers_as_jupyter_server_does_but_where_it_means_to(name: str, sides: tuple[Side, Side]) -> None:
    course = COURSES[name]
    theirs, ours = await asyncio.gather(*(side.follow(course) for side in sides))
    found = {ask.name: _less_common(differences(*pair)) for ask, *pair in zip(course, theirs, ours, strict=True)}
    meant = {request: said for table in OF_REQUESTS.values() for request, said in table.items()}
    assert found == {ask.name: meant.get(ask.name, {}) for ask in course}


def test_every_difference_is_of_a_request_that_is_made() -> None:
    asked = {ask.name for course in COURSES.values() for ask in course}
    assert {request for table in OF_REQUESTS.values() for request in table} <= asked


@pytest.mark.parametrize("name", COURSES)
def test_no_two_requests_of_a_course_have_one_name(name: str) -> None:
    names = [ask.name for ask in COURSES[name]]
    assert sorted(names) == sorted(set(names))


def test_the_docs_tell_every_difference_with_its_reason() -> None:
    told = (ROOT / "docs/compatibility.md").read_text()
    assert [reason for reason in (*OF_ALL_REQUESTS, *OF_REQUESTS) if f"| {reason} |" not in told] == []


def _less_common(said: Differences) -> Differences:
    common = set().union(*OF_ALL_REQUESTS.values())
    return {key: pair for key, pair in said.items() if (key, *pair) not in common}
