"""What one method of a route does, in the words of the swagger document. Handlers say it beside their code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """An argument of the query or a header; those of the path are known from the route."""

    name: str
    place: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of a route.

    Attributes:
        summary: What it does, one line.
        status: Of success.
        returns: The name of the answer's schema; `[name]` for a list of them; None for an answer without a JSON body.
        body: The name of the request body's schema; None if it is not read.
        errors: Statuses of refusals that belong to this operation, each with its reason.
        parameters: Arguments besides those in the path.
        produces: The type of the answer.
    """

    summary: str
    status: int = 200
    returns: str | None = None
    body: str | None = None
    errors: Mapping[int, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    produces: str = "application/json"
