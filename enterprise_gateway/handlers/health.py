"""`/healthz` and `/readyz`: for the probes of those who run the gateway. They need no token and ask nobody.

Liveness fails only when neither beats nor renewals of the lead are attempted any more: an outage of the database must
not restart replicas. Readiness fails when requests would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from enterprise_gateway.errors import RETRY_AFTER_SECONDS
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.operations import Operation
from enterprise_gateway.handlers.services import Check


class _HealthHandler(ApiHandler):
    """Answers 200 when all is well, else 503; the body says what is not."""

    auth_resource = None
    needs_token = False

    def answer(self, checks: Sequence[Check], *, well: str, unwell: str) -> None:
        """Render the checks."""
        ok = all(check.ok for check in checks)
        if not ok:
            self.remark = ", ".join(f"{check.name}: {check.message}" for check in checks if not check.ok)
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.reply(
            {
                "status": well if ok else unwell,
                "checks": [{"name": check.name, "ok": check.ok, "message": check.message} for check in checks],
            },
            status=200 if ok else 503,
        )


class LivenessHandler(_HealthHandler):
    """Is this process worth keeping?"""

    operations: ClassVar = {
        "GET": Operation(summary="Say whether the process works", returns="Health"),
        "HEAD": Operation(summary="Say whether the process works, by the status alone"),
    }

    def get(self) -> None:
        """Say whether beats or renewals are attempted."""
        self.answer(self.gateway.health.alive(), well="alive", unwell="hung")

    def head(self) -> None:
        """Say it by the status alone."""
        self.get()


class ReadinessHandler(_HealthHandler):
    """Should requests be sent here?"""

    operations: ClassVar = {
        "GET": Operation(summary="Say whether requests can be served", returns="Health"),
        "HEAD": Operation(summary="Say whether requests can be served, by the status alone"),
    }

    def get(self) -> None:
        """Say whether this replica is registered, reaches the database and is not draining."""
        self.answer(self.gateway.health.ready(), well="ready", unwell="not ready")

    def head(self) -> None:
        """Say it by the status alone."""
        self.get()
