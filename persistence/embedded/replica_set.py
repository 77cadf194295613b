"""Makes a mongod on a socket the one member of its set, under the socket's own name.

A member must be named by the path it listens on. Data that were moved, or whose socket goes elsewhere now, hold another
name; it is replaced by force, since a member that does not find itself in its set elects nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persistence.driver.admin import admin_command
from persistence.errors import StoreUnavailable
from persistence.mongod import REPLICA_SET

_COMMAND_SECONDS = 10.0


class SetUp:
    """One mongod on its way to be primary. Call `step` until it says so; nothing else may use the server meanwhile.

    Args:
        uri: The server itself.
        host: What its member must be called.

    Attributes:
        trouble: What the server last said against it; empty if nothing.
    """

    def __init__(self, uri: str, host: str) -> None:
        self._uri = uri
        self._host = host
        self._named = False
        self.trouble = ""

    async def step(self) -> bool:
        """Do what is next; say whether the server is primary under its name. Refusals are tried again."""
        try:
            if not self._named:
                self._named = await self._name()
            return self._named and await self._is_primary()
        except StoreUnavailable as error:
            self.trouble = str(error)
            return False

    async def _name(self) -> bool:
        answer = await self._command({"replSetGetConfig": 1})
        if not answer.get("ok"):
            # There is none, or it is not loaded yet: then the server refuses this, and the next step finds it.
            members = [{"_id": 0, "host": self._host}]
            answer = await self._command({"replSetInitiate": {"_id": REPLICA_SET, "members": members}})
            return bool(answer.get("ok"))
        config = answer["config"]
        if [member["host"] for member in config["members"]] == [self._host]:
            return True
        members = [{**config["members"][0], "host": self._host}]
        renamed = {**config, "version": config["version"] + 1, "members": members}
        answer = await self._command({"replSetReconfig": renamed, "force": True})
        return bool(answer.get("ok"))

    async def _is_primary(self) -> bool:
        answer = await self._command({"hello": 1})
        return bool(answer.get("isWritablePrimary")) and answer.get("me") == self._host

    async def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await admin_command(self._uri, command, timeout_seconds=_COMMAND_SECONDS)
        self.trouble = "" if answer.get("ok") else str(answer.get("errmsg", answer.get("code", "")))
        return answer
