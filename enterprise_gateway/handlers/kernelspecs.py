"""`/api/kernelspecs` and `/kernelspecs`: what kernels there are to start, and their logos."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Any, ClassVar

from enterprise_gateway.errors import forbidden, missing
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.operations import Operation, Parameter

USER = Parameter(
    name="user", place="query", description="Only kernelspecs that this user may start, by the lists of users."
)
NO_SPEC = {404: "There is no such kernelspec."}
MAX_RESOURCE_BYTES = 16 << 20
LOGO_MAX_AGE_SECONDS = 30 * 86_400


class KernelSpecsHandler(ApiHandler):
    """All kernelspecs."""

    auth_resource = "kernelspecs"
    operations: ClassVar = {"GET": Operation(summary="List the kernelspecs", returns="KernelSpecs", parameters=(USER,))}

    async def get(self) -> None:
        """List the kernelspecs that may be used; with `?user=`, by that user."""
        found = await self.gateway.specs.all()
        user = query_user(self)
        if user:
            allowed = {name: model for name, model in found["kernelspecs"].items() if _allows(self, user, model)}
            found = {**found, "kernelspecs": allowed}
        self.reply(found)


class KernelSpecHandler(ApiHandler):
    """One kernelspec."""

    auth_resource = "kernelspecs"
    operations: ClassVar = {
        "GET": Operation(
            summary="Get a kernelspec",
            returns="KernelSpec",
            errors={**NO_SPEC, 403: "The user may not start it."},
            parameters=(USER,),
        )
    }

    async def get(self, kernel_name: str) -> None:
        """Return it."""
        model = await self.gateway.specs.get(kernel_name)
        user = query_user(self)
        if user and not _allows(self, user, model):
            raise forbidden(f"User {user} is not authorized to use kernel spec {kernel_name}", "User not authorized")
        self.reply(model)


class KernelSpecResourceHandler(ApiHandler):
    """A file that belongs to a kernelspec: a logo, kernel.js."""

    auth_resource = "kernelspecs"
    operations: ClassVar = {
        "GET": Operation(
            summary="Get a file of a kernelspec",
            errors={404: "There is no such kernelspec or file."},
            produces="application/octet-stream",
        ),
        "HEAD": Operation(summary="Get the size of a file of a kernelspec", errors={404: "There is no such file."}),
    }

    async def get(self, kernel_name: str, file: str) -> None:
        """Send it. Browsers may keep pictures for 30 days, as jupyter_server lets them."""
        path = await self.gateway.specs.resource_path(kernel_name, file)
        content = await asyncio.to_thread(_read, path)
        if content is None:
            raise missing(f"Kernelspec {kernel_name[:80]} has no file {file[:80]}.")
        self.set_header("Content-Type", mimetypes.guess_type(path.name)[0] or "text/plain")
        if path.suffix.lower() == ".png":
            self.set_header("Cache-Control", f"max-age={LOGO_MAX_AGE_SECONDS}")
        self.finish(content)

    async def head(self, kernel_name: str, file: str) -> None:
        """Send its headers."""
        await self.get(kernel_name, file)


def query_user(handler: ApiHandler) -> str:
    """Return the last `?user=` of the query, "" if there is none."""
    values = handler.request.query_arguments.get("user", [b""])
    return values[-1].decode("utf-8", "replace")


def _allows(handler: ApiHandler, user: str, model: dict[str, Any]) -> bool:
    return handler.gateway.users.allows(user, model["spec"].get("metadata", {}))


def _read(path: Path) -> bytes | None:
    """Read a file, unless it is gone or no logo by its size."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RESOURCE_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_RESOURCE_BYTES else None
