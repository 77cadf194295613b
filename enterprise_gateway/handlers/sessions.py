"""`/api/sessions`: which notebook runs on which kernel, as jupyter_server's API has them."""

from __future__ import annotations

from typing import ClassVar

from enterprise_gateway.errors import missing
from enterprise_gateway.handlers.bodies import kernel_id_of, session_changes, session_request
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.kernels import IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY, START_ERRORS, check_listing
from enterprise_gateway.handlers.operations import Operation

NO_SESSION = {404: "There is no such session."}


class SessionsHandler(ApiHandler):
    """All sessions."""

    auth_resource = "sessions"
    operations: ClassVar = {
        "GET": Operation(
            summary="List the sessions whose kernel runs", returns="[Session]", errors={403: "Listing is turned off."}
        ),
        "POST": Operation(
            summary="Open a session: the user's one of this path and type, or a new one with a kernel",
            status=201,
            returns="Session",
            body="SessionRequest",
            errors=START_ERRORS,
            parameters=(IDEMPOTENCY_KEY,),
        ),
    }

    async def get(self) -> None:
        """List sessions, whole or not at all."""
        check_listing(self)
        self.reply(await self.gateway.sessions.list_models())

    async def post(self) -> None:
        """Open a session; withdrawn like a kernel's start when the client goes away."""
        request = session_request(
            self.json_body(),
            process_user=self.gateway.options.process_user,
            idempotency_key=self.request.headers.get(IDEMPOTENCY_HEADER),
        )
        self.about = str(request.start)
        opening = self.gateway.sessions.create(request)
        model = await self.until_gone(opening, withdraw=not request.start.repeatable)
        self.reply(model, status=201, location=self.url("api", "sessions", model["id"]))


class SessionHandler(ApiHandler):
    """One session."""

    auth_resource = "sessions"
    operations: ClassVar = {
        "GET": Operation(summary="Get a session", returns="Session", errors=NO_SESSION),
        "PATCH": Operation(
            summary="Rename a session, or give it another kernel",
            returns="Session",
            body="SessionChanges",
            errors={**START_ERRORS, **NO_SESSION},
            parameters=(IDEMPOTENCY_KEY,),
        ),
        "DELETE": Operation(summary="End a session and its kernel", status=204, errors=NO_SESSION),
    }

    async def get(self, session_id: str) -> None:
        """Return its model."""
        self.reply(await self.gateway.sessions.model(_known_form(session_id)))

    async def patch(self, session_id: str) -> None:
        """Change its path, name, type or kernel, and return it."""
        known = _known_form(session_id)
        changes = session_changes(
            self.json_body(),
            process_user=self.gateway.options.process_user,
            idempotency_key=self.request.headers.get(IDEMPOTENCY_HEADER),
        )
        self.about = str(changes.start or "")
        withdraw = changes.start is not None and not changes.start.repeatable
        self.reply(await self.until_gone(self.gateway.sessions.update(known, changes), withdraw=withdraw))

    async def delete(self, session_id: str) -> None:
        """End it, and its kernel."""
        await self.gateway.sessions.delete(_known_form(session_id))
        self.set_status(204)


def _known_form(session_id: str) -> str:
    known = kernel_id_of(session_id)
    if known is None:
        raise missing(f"Session does not exist: {session_id[:80]}", "Session does not exist")
    return known
