"""The shapes of bodies and answers, for the swagger document."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def _object(required: list[str], properties: Schema) -> Schema:
    return {"type": "object", **({"required": required} if required else {}), "properties": properties}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


_ENV: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "KERNEL_* always reach the kernel, others where client_envs names them. KERNEL_USERNAME says whose "
    "kernel it is, KERNEL_ID chooses its id, KERNEL_LAUNCH_TIMEOUT is in seconds.",
}
_UUID = {"format": "uuid"}
_TIME = {"format": "date-time"}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        ["reason", "message"],
        {"reason": _text("A short phrase."), "message": _text("What is wrong, and what to do about it.")},
    ),
    "Kernel": _object(
        ["id", "name", "last_activity", "execution_state", "connections"],
        {
            "id": _text(**_UUID),
            "name": _text("The kernelspec."),
            "last_activity": _text("UTC, always with six fractional digits.", **_TIME),
            "execution_state": _text("starting, idle, busy, restarting, autorestarting, terminating or dead."),
            "connections": {"type": "integer", "description": "WebSockets, on all replicas."},
            "reason": _text("Why it died."),
        },
    ),
    "KernelRequest": _object(
        [],
        {
            "name": _text("The kernelspec; the default one if missing."),
            "path": _text("The notebook's path."),
            "env": _ENV,
            "kernel_id": _text("An id of one's own; a repeat gets the same kernel.", **_UUID),
        },
    ),
    "Session": _object(
        ["id", "path", "name", "type", "kernel"],
        {
            "id": _text(**_UUID),
            "path": _text(),
            "name": _text(),
            "type": _text("notebook, console, file, or an extension's own."),
            "kernel": _ref("Kernel"),
            "notebook": _object([], {"path": _text(), "name": _text()}),
        },
    ),
    "SessionKernel": _object(
        [],
        {
            "id": _text("A kernel that lives, or the id of the one to start.", **_UUID),
            "name": _text("The kernelspec."),
            "env": _ENV,
        },
    ),
    "SessionRequest": _object(
        ["path", "type"],
        {"path": _text(), "name": _text(), "type": _text(), "kernel": _ref("SessionKernel")},
    ),
    "SessionChanges": _object(
        [],
        {"path": _text(), "name": _text(), "type": _text(), "kernel": _ref("SessionKernel")},
    ),
    "KernelSpecs": _object(
        ["default", "kernelspecs"],
        {
            "default": _text("The kernelspec of requests that name none."),
            "kernelspecs": {"type": "object", "additionalProperties": _ref("KernelSpec")},
        },
    ),
    "KernelSpec": _object(
        ["name", "spec", "resources"],
        {
            "name": _text(),
            "spec": {"type": "object", "description": "kernel.json."},
            "resources": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Paths of logos, kernel.js and kernel.css.",
            },
        },
    ),
    "Versions": _object(
        ["version", "gateway_version"],
        {"version": _text("The release of jupyter_server whose API this is."), "gateway_version": _text()},
    ),
    "Status": _object(
        ["started", "last_activity", "kernels", "connections"],
        {
            "started": _text(**_TIME),
            "last_activity": _text(**_TIME),
            "kernels": {"type": "integer"},
            "connections": {"type": "integer"},
        },
    ),
    "Me": _object(
        ["identity", "permissions"],
        {
            "identity": _object(["username"], {"username": _text(), "name": _text(), "display_name": _text()}),
            "permissions": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        },
    ),
    "Health": _object(
        ["status", "checks"],
        {
            "status": _text(),
            "checks": {
                "type": "array",
                "items": _object(
                    ["name", "ok", "message"], {"name": _text(), "ok": {"type": "boolean"}, "message": _text()}
                ),
            },
        },
    ),
}
