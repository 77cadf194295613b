"""`/api`, `/api/status`, `/api/me`: the server itself, and who one is for it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from enterprise_gateway.errors import bad_request
from enterprise_gateway.handlers.json_api import ApiHandler
from enterprise_gateway.handlers.operations import Operation, Parameter

# The release of jupyter_server whose kernels, sessions and kernelspecs API this is.
JUPYTER_API_VERSION = "2.21.1"


class VersionHandler(ApiHandler):
    """The versions of the API and of the gateway."""

    operations: ClassVar = {"GET": Operation(summary="Get the versions", returns="Versions")}

    async def get(self) -> None:
        """Return them under Enterprise Gateway's names."""
        self.reply({"version": JUPYTER_API_VERSION, "gateway_version": self.gateway.options.version})


class StatusHandler(ApiHandler):
    """How many kernels and connections the cluster has, and when anything last happened."""

    operations: ClassVar = {"GET": Operation(summary="Get the number of kernels and connections", returns="Status")}

    async def get(self) -> None:
        """Count what the database has; it may be counted where it may not be listed."""
        started = self.gateway.options.started
        kernels = await self.gateway.kernels.list_models()
        # Times of one form sort as text.
        latest = max([started, *(kernel["last_activity"] for kernel in kernels)])
        self.reply(
            {
                "started": started,
                "last_activity": latest,
                "kernels": len(kernels),
                "connections": sum(kernel["connections"] for kernel in kernels),
            }
        )


class IdentityHandler(ApiHandler):
    """Who the request's user is, and what he may do. Everybody may ask, as on jupyter_server."""

    auth_resource = None
    operations: ClassVar = {
        "GET": Operation(
            summary="Get the user and his permissions",
            returns="Me",
            errors={400: "`permissions` is malformed."},
            parameters=(
                Parameter(
                    name="permissions",
                    place="query",
                    description='What to check, as JSON: {"resource": ["action", …]}.',
                ),
            ),
        )
    }

    async def get(self) -> None:
        """Return the identity, and of the permissions asked about those that the authorizer grants."""
        granted: dict[str, list[str]] = {}
        for resource, actions in self._asked().items():
            granted[resource] = [action for action in actions if await self.is_authorized(action, resource)]
        granted["updatable_fields"] = []
        self.reply({"identity": self.current_user.model() if self.current_user else {}, "permissions": granted})

    def _asked(self) -> dict[str, list[str]]:
        text = self.request.query_arguments.get("permissions", [b""])[-1]
        try:
            asked: Any = json.loads(text or b"{}")
        except (ValueError, RecursionError) as error:
            raise _bad_permissions() from error
        if not isinstance(asked, dict) or not all(map(_is_list_of_text, asked.values())):
            raise _bad_permissions()
        return asked


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _bad_permissions() -> Exception:
    return bad_request('permissions should be a JSON dict of {"resource": ["action",]}')
