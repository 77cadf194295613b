"""Jupyter sessions: a notebook's path and the kernel that it uses.

A session counts only while its kernel's record is live; deleting its document is tidying, done when somebody meets it.
One session per (user, path, type) is held by a unique index: who loses that race answers with the winner's session and
stops the kernel that he started for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from logging import Logger, LoggerAdapter
from typing import Any, Protocol
from uuid import uuid4

from enterprise_gateway.errors import GatewayError, bad_request, conflict, missing
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from persistence import clock
from persistence.documents import SessionRecord
from persistence.errors import DuplicateKey, StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

# A session whose kernel is gone is replaced; another client may do the same at once, seldom many times over.
RACES = 5
# An election of MongoDB takes up to 11 s; a client waits for 42.
OUTAGE_SECONDS = 15.0
AGAIN_SECONDS = 0.2


class Kernels(Protocol):
    """What sessions need of the kernels service."""

    async def start(self, request: StartRequest) -> dict[str, Any]:
        """Start a kernel; gives its model."""
        ...

    async def model(self, kernel_id: str) -> dict[str, Any]:
        """Give the model of a live kernel, or raise 404."""
        ...

    async def list_models(self) -> list[dict[str, Any]]:
        """Give the models of all live kernels."""
        ...

    async def shutdown(self, kernel_id: str) -> None:
        """End a kernel."""
        ...


class SessionService:
    """Sessions as `/api/sessions` serves them, on any replica."""

    def __init__(self, store: KernelSessionManager, kernels: Kernels, log: Logger | LoggerAdapter[Any]) -> None:
        self._store = store
        self._kernels = kernels
        self._log = log

    async def list_models(self) -> list[dict[str, Any]]:
        """Return the sessions of all live kernels, whole or not at all."""
        records = await self._store.sessions.list_all()
        kernels = {kernel["id"]: kernel for kernel in await self._kernels.list_models()}
        return [session_model(record, kernels[record.kernel_id]) for record in records if record.kernel_id in kernels]

    async def model(self, session_id: str) -> dict[str, Any]:
        """Return one session.

        Raises:
            GatewayError: 404, there is none, or its kernel is gone.
        """
        record, kernel = await self._live(session_id)
        return session_model(record, kernel)

    async def create(self, request: SessionRequest) -> dict[str, Any]:
        """Open a session: the user's one of this path and type, else a new one, with a kernel that lives or is started.

        Raises:
            GatewayError: What starting a kernel may raise; 409 where others open and close the same one all the time.
        """
        for _ in range(RACES):
            existing = await self._existing(request.start.username, request.path, request.type)
            if existing is not None:
                return existing
            kernel, started = await self._kernel(request.start)
            record = SessionRecord(
                session_id=str(uuid4()),
                username=request.start.username,
                path=request.path,
                name=request.name,
                type=request.type,
                kernel_id=kernel["id"],
                created_at=self._store.clock.latest_now(),
            )
            try:
                await self._insert(record)
            except DuplicateKey:
                if started:
                    await self._stop_needless(kernel["id"])
                continue
            return session_model(record, kernel)
        raise conflict(
            f"The session for {request.path!r} is being opened and closed by others at the same time; try again."
        )

    async def update(self, session_id: str, changes: SessionChanges) -> dict[str, Any]:
        """Change a session; the kernel that it leaves is stopped.

        Raises:
            GatewayError: 404 no such session; 400 no such kernel; 409 another session has that path and type.
        """
        record, kernel = await self._live(session_id)
        fields = {name: value for name in ("path", "name", "type") if (value := getattr(changes, name)) is not None}
        new_kernel = await self._kernel_for_update(changes)
        if new_kernel is not None:
            fields["kernel_id"] = new_kernel["id"]
        try:
            updated = await self._store.sessions.update(session_id, fields) if fields else record
        except (DuplicateKey, StaleWrite) as error:
            if new_kernel is not None and changes.kernel_id is None:
                await self._stop_needless(new_kernel["id"])
            if isinstance(error, StaleWrite):
                raise no_session(session_id) from error
            raise conflict(f"Another session has the path {fields.get('path', record.path)!r}.") from error
        if new_kernel is not None and new_kernel["id"] != kernel["id"]:
            await self._stop_needless(kernel["id"])
        return session_model(updated, new_kernel or kernel)

    async def delete(self, session_id: str) -> None:
        """End a session and its kernel.

        Raises:
            GatewayError: 404 no such session; 410 its kernel was gone before (the session is tidied away).
        """
        record = await self._record(session_id)
        try:
            await self._kernels.shutdown(record.kernel_id)
        except GatewayError as error:
            if error.status != 404:
                raise
            await self._store.sessions.delete(session_id)
            raise GatewayError(
                410, "Kernel deleted before session", "The kernel was gone before its session."
            ) from error
        await self._store.sessions.delete(session_id)

    async def _insert(self, record: SessionRecord) -> None:
        """Insert it, also through a short outage: its kernel runs by now, and would be left without a session.

        Raises:
            DuplicateKey: The user has another session of that path and type.
            StoreUnavailable: It may be there or not.
        """
        give_up = clock.Deadline(OUTAGE_SECONDS)
        while True:
            try:
                return await self._store.sessions.insert(record)
            except DuplicateKey:
                if await self._store.sessions.get(record.session_id) is None:
                    raise
                return  # an earlier try's, whose answer was lost
            except StoreUnavailable:
                if give_up.passed:
                    raise
                await clock.sleep(AGAIN_SECONDS)

    async def _live(self, session_id: str) -> tuple[SessionRecord, dict[str, Any]]:
        record = await self._record(session_id)
        kernel = await self._model_or_none(record.kernel_id)
        if kernel is None:
            await self._store.sessions.delete(session_id)
            raise no_session(session_id)
        return record, kernel

    async def _record(self, session_id: str) -> SessionRecord:
        record = await self._store.sessions.get(session_id) or await self._store.sessions.get_surely(session_id)
        if record is None:
            raise no_session(session_id)
        return record

    async def _existing(self, username: str, path: str, session_type: str) -> dict[str, Any] | None:
        record = await self._store.sessions.find(username, path, session_type)
        if record is None:
            return None
        kernel = await self._model_or_none(record.kernel_id)
        if kernel is None:
            await self._store.sessions.delete(record.session_id)
            return None
        return session_model(record, kernel)

    async def _kernel(self, request: StartRequest) -> tuple[dict[str, Any], bool]:
        """Return the kernel of the new session, and whether it was started for it."""
        if request.kernel_id is not None:
            shared = await self._model_or_none(request.kernel_id)
            if shared is not None:
                return shared, False
        return await self._kernels.start(request), True

    async def _kernel_for_update(self, changes: SessionChanges) -> dict[str, Any] | None:
        if changes.kernel_id is not None:
            kernel = await self._model_or_none(changes.kernel_id)
            if kernel is None:
                raise bad_request(f"No such kernel: {changes.kernel_id}", "Kernel does not exist")
            return kernel
        if changes.start is not None:
            return await self._kernels.start(changes.start)
        return None

    async def _model_or_none(self, kernel_id: str) -> dict[str, Any] | None:
        try:
            return await self._kernels.model(kernel_id)
        except GatewayError as error:
            if error.status != 404:
                raise
            return None

    async def _stop_needless(self, kernel_id: str) -> None:
        try:
            await self._kernels.shutdown(kernel_id)
        except GatewayError as error:
            if error.status != 404:
                self._log.warning("Kernel %s, which no session needs, could not be stopped: %s", kernel_id, error)


def session_model(record: SessionRecord, kernel: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape of jupyter_server's session model; notebooks carry the old `notebook` field too. Pure."""
    model: dict[str, Any] = {
        "id": record.session_id,
        "path": record.path,
        "name": record.name,
        "type": record.type,
        "kernel": dict(kernel),
    }
    if record.type == "notebook":
        model["notebook"] = {"path": record.path, "name": record.name}
    return model


def no_session(session_id: str) -> GatewayError:
    """404 for a session."""
    return missing(f"Session does not exist: {session_id}", "Session does not exist")
