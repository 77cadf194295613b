"""`/api/kernels`: kernels, as jupyter_server's API has them."""

from __future__ import annotations

from typing import ClassVar

from enterprise_gateway.errors import forbidden, not_found
from enterprise_gateway.handlers.bodies import kernel_id_of, start_request
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.operations import Operation, Parameter

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_KEY = Parameter(
    name=IDEMPOTENCY_HEADER,
    place="header",
    description="Names this request for ever. A repeat with the same key and body gets the same kernel.",
)
START_ERRORS = {
    400: "The body is malformed, or there is no such kernelspec.",
    403: "The user may not start this kernel, or a limit is reached.",
    409: "The id or key is taken by another request.",
    413: "The body is too long.",
    504: "The kernel did not answer within its launch timeout.",
}
NO_KERNEL = {404: "There is no such kernel."}


class KernelsHandler(ApiHandler):
    """All kernels."""

    auth_resource = "kernels"
    operations: ClassVar = {
        "GET": Operation(
            summary="List the running kernels", returns="[Kernel]", errors={403: "Listing is turned off."}
        ),
        "POST": Operation(
            summary="Start a kernel",
            status=201,
            returns="Kernel",
            body="KernelRequest",
            errors=START_ERRORS,
            parameters=(IDEMPOTENCY_KEY,),
        ),
    }

    async def get(self) -> None:
        """List kernels, whole or not at all."""
        check_listing(self)
        self.reply(await self.gateway.kernels.list_models())

    async def post(self) -> None:
        """Start a kernel; one that its client can't ask for again is withdrawn when the client goes away."""
        request = start_request(
            self.json_body(),
            process_user=self.gateway.options.process_user,
            idempotency_key=self.request.headers.get(IDEMPOTENCY_HEADER),
        )
        self.about = str(request)
        model = await self.until_gone(self.gateway.kernels.start(request), withdraw=not request.repeatable)
        self.reply(model, status=201, location=self.url("api", "kernels", model["id"]))


class KernelHandler(ApiHandler):
    """One kernel."""

    auth_resource = "kernels"
    operations: ClassVar = {
        "GET": Operation(summary="Get a kernel", returns="Kernel", errors=NO_KERNEL),
        "DELETE": Operation(summary="Shut a kernel down", status=204, errors=NO_KERNEL),
    }

    async def get(self, kernel_id: str) -> None:
        """Return its model."""
        self.reply(await self.gateway.kernels.model(known_form(kernel_id)))

    async def delete(self, kernel_id: str) -> None:
        """End it."""
        await self.gateway.kernels.shutdown(known_form(kernel_id))
        self.set_status(204)


class InterruptHandler(ApiHandler):
    """Interrupts a kernel."""

    auth_resource = "kernels"
    operations: ClassVar = {
        "POST": Operation(
            summary="Interrupt a kernel", status=204, errors={**NO_KERNEL, 409: "The kernel is not ready for it."}
        )
    }

    async def post(self, kernel_id: str) -> None:
        """Interrupt what it runs. A body is not looked at."""
        await self.gateway.kernels.interrupt(known_form(kernel_id))
        self.set_status(204)


class RestartHandler(ApiHandler):
    """Restarts a kernel."""

    auth_resource = "kernels"
    operations: ClassVar = {
        "POST": Operation(
            summary="Restart a kernel", returns="Kernel", errors={**NO_KERNEL, 409: "The kernel is being stopped."}
        )
    }

    async def post(self, kernel_id: str) -> None:
        """Restart it and return its model. A body is not looked at."""
        self.reply(await self.gateway.kernels.restart(known_form(kernel_id)))


def known_form(kernel_id: str) -> str:
    """Return the id as the database spells it.

    Raises:
        GatewayError: 404, what is no UUID names no kernel; the database need not be asked.
    """
    known = kernel_id_of(kernel_id)
    if known is None:
        raise not_found(kernel_id[:80])
    return known


def check_listing(handler: ApiHandler) -> None:
    """Refuse to list where the configuration says so.

    Raises:
        GatewayError: 403.
    """
    if not handler.gateway.options.list_kernels:
        raise forbidden("Listing kernels and sessions is turned off on this gateway (EG_LIST_KERNELS).")
