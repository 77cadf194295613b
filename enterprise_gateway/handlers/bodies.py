"""Request bodies: JSON that comes from anybody, read into requests that are whole and sound.

Whatever the body, the outcome is a request or a `GatewayError` of 400 that a person can act on; never another
exception. Unknown fields are ignored, since clients send what newer servers know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from enterprise_gateway.errors import bad_request
from enterprise_gateway.kernels.requests import KERNEL_ID_ENV, StartRequest
from enterprise_gateway.sessions.requests import SessionChanges, SessionRequest
from persistence import clock

Json: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_NAME_CHARS = 255
MAX_PATH_CHARS = 4096
# Linux takes one `NAME=value` of at most 128 KiB, its closing zero included (MAX_ARG_STRLEN).
MAX_ENV_ENTRY_BYTES = 128 * 1024 - 1

USERNAME_ENV = "KERNEL_USERNAME"

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def parse_json(body: bytes) -> Json:
    """Parse a body; None for an empty one.

    Raises:
        GatewayError: 400: not UTF-8, not JSON, or JSON that no program should be given (NaN, endless digits or depth).
    """
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise bad_request("The body is not UTF-8 text.", "Invalid JSON") from error
    if not text:
        return None
    try:
        parsed: Json = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise bad_request(f"The body is not valid JSON, at {where}: {error.msg}.", "Invalid JSON") from error
    except RecursionError as error:
        raise bad_request("The body's JSON is nested too deeply.", "Invalid JSON") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise bad_request("The body has a number that is too long to read.", "Invalid JSON") from error
    return parsed


def wrong_content_type(content_type: str | None) -> bool:
    """Say whether a body of this `Content-Type` could be sent by a web page of another origin without asking first."""
    return (content_type or "").partition(";")[0].strip().lower() != "application/json"


def kernel_id_of(text: str) -> str | None:
    """Return a kernel's or session's id in its one spelling; None if `text` is no UUID, so that nothing has that id."""
    return text.lower() if _UUID.fullmatch(text) else None


def start_request(body: Json, *, process_user: str, idempotency_key: str | None) -> StartRequest:
    """Read the body of `POST /api/kernels`.

    Args:
        body: As parsed; None: the default kernel.
        process_user: Whose kernel it is if the env names no `KERNEL_USERNAME`.
        idempotency_key: The header of this name.

    Raises:
        GatewayError: 400.
    """
    fields = _object(body if body is not None else {}, "The body")
    return _start(fields, "kernel_id", "", process_user, idempotency_key)


def session_request(body: Json, *, process_user: str, idempotency_key: str | None) -> SessionRequest:
    """Read the body of `POST /api/sessions`; it needs `path` and `type`.

    Raises:
        GatewayError: 400.
    """
    fields = _session_fields(body, ("path", "name"))
    kernel = _object(_given(fields, "kernel", {}), "kernel")
    path = _text(fields, "path", limit=MAX_PATH_CHARS)
    session_type = _text(fields, "type")
    if path is None or not session_type:
        raise bad_request(f"Missing field in JSON data: {'path' if path is None else 'type'}")
    return SessionRequest(
        path=path,
        name=_text(fields, "name", limit=MAX_PATH_CHARS) or "",
        type=session_type,
        start=_start({**kernel, "path": path}, "id", "kernel.", process_user, idempotency_key),
    )


def session_changes(body: Json, *, process_user: str, idempotency_key: str | None) -> SessionChanges:
    """Read the body of `PATCH /api/sessions/{id}`. Clients send the whole session; a kernel's id goes before its name.

    Raises:
        GatewayError: 400.
    """
    fields = _session_fields(body, ("path",))
    kernel = _object(_given(fields, "kernel", {}), "kernel")
    path = _text(fields, "path", limit=MAX_PATH_CHARS)
    kernel_id = _uuid(kernel, "id", "kernel.")
    start = None
    if kernel_id is None and _text(kernel, "name", prefix="kernel."):
        start = _start({**kernel, "path": path}, "id", "kernel.", process_user, idempotency_key)
    return SessionChanges(
        path=path,
        name=_text(fields, "name", limit=MAX_PATH_CHARS),
        type=_text(fields, "type") or None,
        kernel_id=kernel_id,
        start=start,
    )


def _session_fields(body: Json, older_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the session's fields; older clients send its path as `notebook`, under one of `older_names`."""
    if body is None:
        raise bad_request("No JSON data provided")
    fields = _object(body, "The body")
    notebook = _object(_given(fields, "notebook", {}), "notebook")
    older = next((notebook[name] for name in older_names if notebook.get(name) is not None), None)
    if older is None:
        return fields
    return {**fields, "path": _given(fields, "path", older), "type": "notebook"}


def _start(
    fields: Mapping[str, Any], id_field: str, prefix: str, process_user: str, idempotency_key: str | None
) -> StartRequest:
    if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise bad_request("Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID.")
    env = _env(_given(fields, "env", {}), f"{prefix}env")
    return StartRequest(
        name=_text(fields, "name", prefix=prefix) or None,
        path=_text(fields, "path", limit=MAX_PATH_CHARS),
        env=env,
        kernel_id=_chosen_id(_uuid(fields, id_field, prefix), _uuid(env, KERNEL_ID_ENV, "env."), f"{prefix}{id_field}"),
        idempotency_key=idempotency_key,
        username=_text(env, USERNAME_ENV, prefix="env.") or process_user,
        arrived_boottime=clock.boottime(),
    )


def _chosen_id(from_body: str | None, from_env: str | None, field: str) -> str | None:
    if from_body is not None and from_env is not None and from_body != from_env:
        raise bad_request(f"{field} and env.{KERNEL_ID_ENV} name two different kernels; send one of them.")
    return from_body or from_env


def _given(fields: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return a field; null is as good as none."""
    value = fields.get(name)
    return default if value is None else value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad_request(f"{what} must be a JSON object, not {_kind(value)}.")
    return value


def _text(fields: Mapping[str, Any], name: str, *, prefix: str = "", limit: int = MAX_NAME_CHARS) -> str | None:
    """Return a text field, None if it is missing or null."""
    value = fields.get(name)
    if value is None:
        return None
    _check_text(value, prefix + name)
    text: str = value
    if len(text) > limit:
        raise bad_request(f"{prefix}{name} is longer than {limit} characters.")
    return text


def _uuid(fields: Mapping[str, Any], name: str, prefix: str) -> str | None:
    text = _text(fields, name, prefix=prefix)
    if not text:
        return None
    kernel_id = kernel_id_of(text)
    if kernel_id is None:
        raise bad_request(
            f"{prefix}{name} must be a UUID such as 6d1f6e3c-8f5d-4b0a-9c57-2f1f0f1c2a3b, not {text[:80]!r}.",
            "Invalid kernel id",
        )
    return kernel_id


def _env(value: Any, what: str) -> dict[str, str]:
    env = _object(value, what)
    for name, entry in env.items():
        _check_env_name(name, what)
        _check_text(entry, f"{what}.{name}")
        if len(name.encode()) + 1 + len(entry.encode()) > MAX_ENV_ENTRY_BYTES:
            raise bad_request(
                f"{what}.{name[:80]} is too long: the system takes {MAX_ENV_ENTRY_BYTES} bytes, name included."
            )
    return env


def _check_env_name(name: str, what: str) -> None:
    _check_text(name, f"A name in {what}")
    if not name or "=" in name:
        raise bad_request(f"{what} has a name that is empty or holds '=': {name[:80]!r}.")


def _check_text(value: Any, what: str) -> None:
    """Refuse what is no text, and text that neither a process nor the database can hold."""
    # The name of an env entry comes from the client too: it is shown only as far as it can be shown.
    shown = ascii(what[:120])[1:-1]
    if not isinstance(value, str):
        raise bad_request(f"{shown} must be text, not {_kind(value)}.")
    if "\0" in value:
        raise bad_request(f"{shown} must not hold NUL characters.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise bad_request(f"{shown} holds half of a surrogate pair, which is no text.") from error


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _no_constant(name: str) -> NoReturn:
    raise bad_request(f"The body has {name}, which is no JSON.", "Invalid JSON")
