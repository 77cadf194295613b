"""Jupyter sessions: a notebook's path and the kernel that it uses.

A session counts only while its kernel's record is live; deleting its document is tidying, done when somebody meets it.
One session per (user, path, type) is held by a unique index: who loses that race answers with the winner's session and
stops the kernel that he started for nothing. Whether a session has the kernel that was started for it is found out by a
task of its own, also through an outage of the database and when the client has gone: else nobody would know the kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from logging import Logger, LoggerAdapter
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from enterprise_gateway.errors import GatewayError, bad_request, conflict, missing
from enterprise_gateway.kernels.requests import StartRequest
from enterprise_gateway.kernels.waiting import until_answered
from enterprise_gateway.kernels.work import outcome
from enterprise_gateway.lifecycle import Background
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from persistence.documents import SessionRecord
from persistence.errors import DuplicateKey, StaleWrite, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager

T = TypeVar("T")

# A session whose kernel is gone is replaced; another client may do the same at once, seldom many times over.
RACES = 5
# An election of MongoDB takes up to 11 s; a client waits for 42.
OUTAGE_SECONDS = 15.0


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

    def __init__(
        self,
        store: KernelSessionManager,
        kernels: Kernels,
        background: Background,
        log: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._kernels = kernels
        self._background = background
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

        Cancelling this withdraws a session that has not been answered, and its kernel.

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
                await self._add(record, started=started, repeatable=request.start.repeatable)
            except DuplicateKey:
                continue
            return session_model(record, kernel)
        raise conflict(
            f"The session for {request.path!r} is being opened and closed by others at the same time; try again."
        )

    async def update(self, session_id: str, changes: SessionChanges) -> dict[str, Any]:
        """Change a session; the kernel that it leaves is stopped.

        Of two who start a kernel for it at once one wins: the other's kernel is stopped, and the session keeps the
        winner's.

        Raises:
            GatewayError: 404 no such session; 400 no such kernel; 409 another session has that path and type.
        """
        for _ in range(RACES):
            record, kernel = await self._live(session_id)
            try:
                if changes.kernel_id is None and changes.start is None:
                    return await self._rename(record, kernel, changes)
                return await self._replace_kernel(record, changes)
            except DuplicateKey as error:
                raise conflict(f"Another session has the path {changes.path or record.path!r}.") from error
            except StaleWrite:
                changes = replace(changes, start=None)
        raise conflict("Others change this session at the same time; try again.")

    async def delete(self, session_id: str) -> None:
        """End a session and its kernel.

        Raises:
            GatewayError: 404 no such session, or none any more since its kernel has ended.
        """
        for _ in range(RACES):
            record = await self._record(session_id)
            was_there = await self._shut_down(record.kernel_id)
            gone = await self._store.sessions.delete(session_id, while_kernel=record.kernel_id)
            if not gone and await self._store.sessions.get_surely(session_id) is not None:
                continue  # it has got another kernel meanwhile, which must end as well
            if not was_there:
                raise no_session(session_id)
            return
        raise conflict("Others change this session at the same time; try again.")

    async def _rename(self, record: SessionRecord, kernel: dict[str, Any], changes: SessionChanges) -> dict[str, Any]:
        fields = _fields(changes)
        if not fields:
            return session_model(record, kernel)
        updated = await self._store.sessions.update(record.session_id, fields, while_kernel=record.kernel_id)
        return session_model(updated, kernel)

    async def _replace_kernel(self, record: SessionRecord, changes: SessionChanges) -> dict[str, Any]:
        kernel = await self._kernel_for_update(changes)
        fields = {**_fields(changes), "kernel_id": kernel["id"]}
        giving = self._give_kernel(record, fields, started=changes.kernel_id is None)
        act = self._background.act(f"change of session {record.session_id}", giving)
        return session_model(await self._patiently(act), kernel)

    async def _give_kernel(self, record: SessionRecord, fields: Mapping[str, str], *, started: bool) -> SessionRecord:
        """Give it another kernel than it has by `record`, and stop the one that is no session's then.

        Raises:
            DuplicateKey: Another session has that path and type.
            StaleWrite: It is gone, or has another kernel by now.
        """
        kernel_id = fields["kernel_id"]
        try:
            updated = await until_answered(lambda: self._set_kernel(record, fields))
        except (DuplicateKey, StaleWrite):
            if started:
                self._stop_soon(kernel_id)
            raise
        if kernel_id != record.kernel_id:
            self._stop_soon(record.kernel_id)
        return updated

    async def _set_kernel(self, record: SessionRecord, fields: Mapping[str, str]) -> SessionRecord:
        update = self._store.sessions.update
        try:
            return await update(record.session_id, fields, while_kernel=record.kernel_id)
        except StaleWrite:
            # An earlier try's, whose answer was lost, has given it this kernel already.
            return await update(record.session_id, fields, while_kernel=fields["kernel_id"])

    async def _add(self, record: SessionRecord, *, started: bool, repeatable: bool) -> None:
        """Insert it; cancelling this withdraws it, unless the client can come back for its kernel.

        Raises:
            DuplicateKey: The user has another session of that path and type.
        """
        act = self._background.act(f"opening of session {record.session_id}", self._insert(record, started=started))
        try:
            await self._patiently(act)
        except asyncio.CancelledError:
            if started and not repeatable:
                self._background.once(f"withdrawal of session {record.session_id}", self._withdraw(record, act))
            raise

    async def _insert(self, record: SessionRecord, *, started: bool) -> None:
        try:
            await until_answered(lambda: self._insert_once(record))
        except DuplicateKey:
            if started:
                self._stop_soon(record.kernel_id)
            raise

    async def _insert_once(self, record: SessionRecord) -> None:
        try:
            await self._store.sessions.insert(record)
        except DuplicateKey:
            if await self._store.sessions.get_surely(record.session_id) is None:
                raise
            # An earlier try's, whose answer was lost.

    async def _withdraw(self, record: SessionRecord, insert: asyncio.Task[None]) -> None:
        await asyncio.wait({insert})
        await until_answered(lambda: self._store.sessions.delete(record.session_id))
        await self._stop_needless(record.kernel_id)

    async def _patiently(self, act: asyncio.Task[T]) -> T:
        """Wait for an act through a short outage; it goes on where this gives up or is cancelled."""
        try:
            async with asyncio.timeout(OUTAGE_SECONDS):
                return await outcome(act)
        except TimeoutError:
            raise StoreUnavailable("the database has not said what became of the session") from None

    async def _live(self, session_id: str) -> tuple[SessionRecord, dict[str, Any]]:
        while True:
            record = await self._record(session_id)
            kernel = await self._model_or_none(record.kernel_id)
            if kernel is not None:
                return record, kernel
            await self._store.sessions.delete(session_id, while_kernel=record.kernel_id)

    async def _record(self, session_id: str) -> SessionRecord:
        record = await self._store.sessions.get(session_id) or await self._store.sessions.get_surely(session_id)
        if record is None:
            raise no_session(session_id)
        return record

    async def _existing(self, username: str, path: str, session_type: str) -> dict[str, Any] | None:
        while True:
            record = await self._store.sessions.find(username, path, session_type)
            if record is None:
                return None
            kernel = await self._model_or_none(record.kernel_id)
            if kernel is not None:
                return session_model(record, kernel)
            await self._store.sessions.delete(record.session_id, while_kernel=record.kernel_id)

    async def _kernel(self, request: StartRequest) -> tuple[dict[str, Any], bool]:
        """Return the kernel of the new session, and whether it was started for it."""
        if request.kernel_id is not None:
            shared = await self._model_or_none(request.kernel_id)
            if shared is not None:
                return shared, False
        return await self._kernels.start(request), True

    async def _kernel_for_update(self, changes: SessionChanges) -> dict[str, Any]:
        if changes.kernel_id is None and changes.start is not None:
            return await self._kernels.start(changes.start)
        kernel = await self._model_or_none(changes.kernel_id or "")
        if kernel is None:
            raise bad_request(f"No such kernel: {changes.kernel_id}", "Kernel does not exist")
        return kernel

    async def _model_or_none(self, kernel_id: str) -> dict[str, Any] | None:
        try:
            return await self._kernels.model(kernel_id)
        except GatewayError as error:
            if error.status != 404:
                raise
            return None

    async def _shut_down(self, kernel_id: str) -> bool:
        """End a kernel; False where it was gone."""
        try:
            await self._kernels.shutdown(kernel_id)
        except GatewayError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _stop_soon(self, kernel_id: str) -> None:
        self._background.once(f"stop of needless kernel {kernel_id}", self._stop_needless(kernel_id))

    async def _stop_needless(self, kernel_id: str) -> None:
        try:
            await until_answered(lambda: self._shut_down(kernel_id))
        except GatewayError as error:
            self._log.warning("Kernel %s, which no session needs, could not be stopped: %s", kernel_id, error)


def _fields(changes: SessionChanges) -> dict[str, str]:
    return {name: value for name in ("path", "name", "type") if (value := getattr(changes, name)) is not None}


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
