"""Requests to one of two servers that should answer alike, and what a client relies on of each answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.cluster.waiting import PATIENCE_SECONDS

HEADERS = (
    "Content-Type",
    "Location",
    "Cache-Control",
    "Allow",
    "WWW-Authenticate",
    "Retry-After",
    "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
)
PROSE = ("message", "short_message", "reason", "traceback")
"""Fields whose words are each server's own. So are all of `identity`."""
STATES = ("starting", "idle", "busy", "restarting")
ABSENT = "-"

Answer = dict[str, str]
"""The status, the headers of `HEADERS` that are there, and each leaf of the body by its path."""
Differences = dict[str, tuple[str, str]]
"""What the one says, and what the other says; `ABSENT` for nothing."""


@dataclass(frozen=True)
class Ask:
    """One request. `<name>` in its path or body stands for the id of an earlier answer, which was kept under that name.

    Attributes:
        body: Text is sent as it is, everything else as JSON; None sends none.
        title: What it is called; its method and path if "".
        keep: The name of the answer's id, and of its kernel's (`<name's kernel>`).
    """

    method: str
    path: str
    body: Any = None
    title: str = ""
    keep: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.title or f"{self.method} {self.path}"


class Side:
    """One of the two servers, and the ids of what a course has made there."""

    def __init__(self, url: str, token: str) -> None:
        self._ids: dict[str, str] = {}
        self._client = httpx.AsyncClient(base_url=url, timeout=2 * PATIENCE_SECONDS)
        self._authorization = {"Authorization": f"token {token}"}

    async def follow(self, course: Sequence[Ask]) -> list[Answer]:
        """Send the requests one after the other; of each answer, return what a client relies on."""
        return [await self._answer(ask) for ask in course]

    async def close(self) -> None:
        """End what was made."""
        for kernel in (await self._client.get("/api/kernels", headers=self._authorization)).json():
            await self._client.delete(f"/api/kernels/{kernel['id']}", headers=self._authorization)
        await self._client.aclose()

    async def _answer(self, ask: Ask) -> Answer:
        content = ask.body if isinstance(ask.body, str | None) else json.dumps(ask.body)
        answer = await self._client.request(
            ask.method,
            self._with_ids(ask.path),
            content=None if content is None else self._with_ids(content),
            headers={**self._authorization, "Content-Type": "application/json", **ask.headers},
        )
        self._keep(ask.keep, answer)
        headers = {name: self._with_names(answer.headers[name]) for name in HEADERS if answer.headers.get(name)}
        return {"status": str(answer.status_code), **headers, **self._body(answer)}

    def _body(self, answer: httpx.Response) -> Answer:
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("text/html") and answer.content:
            return {"message": "text"}  # a page is for a person
        if kind == "application/json" and answer.content:
            return dict(_flat(json.loads(self._with_names(answer.text))))
        return {"body": answer.content.hex()}

    def _keep(self, name: str, answer: httpx.Response) -> None:
        if name and answer.is_success:
            model = answer.json()
            self._ids[name] = model["id"]
            if "kernel" in model:
                self._ids.setdefault(f"{name}'s kernel", model["kernel"]["id"])

    def _with_ids(self, text: str) -> str:
        for name, known in self._ids.items():
            text = text.replace(f"<{name}>", known)
        return text

    def _with_names(self, text: str) -> str:
        for name, known in self._ids.items():
            text = text.replace(known, f"<{name}>")
        return text


def differences(one: Answer, other: Answer) -> Differences:
    """Say in what two answers differ: only in their status, if one is a refusal and the other is none."""
    if (one["status"] < "400") != (other["status"] < "400"):
        return {"status": (one["status"], other["status"])}
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return {key: (one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Name every leaf of a JSON body by its path, in whatever order its lists are."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(sorted(value, key=lambda one: one["id"])):
            yield from _flat(inner, f"{path}[{index}]")
    else:
        yield path or "body", _leaf(value, path)


def _leaf(value: Any, path: str) -> str:
    """Return a value as JSON, or only its kind where two servers never say the same."""
    if not isinstance(value, str):
        return json.dumps(value)
    if path in PROSE or path.startswith("identity."):
        return "text"
    if path.endswith("execution_state") and value in STATES:
        return "a state"
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", value):
        return "time"
    return "id" if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) else json.dumps(value)
