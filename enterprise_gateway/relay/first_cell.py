"""The silent cell that has an ipykernel made ready before anybody listens to it. It leaves no trace in the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enterprise_gateway.relay import quick_end
from enterprise_gateway.relay.probe import Questions
from enterprise_gateway.relay.send_mark import raising

IPYKERNEL = "ipython"
"""What it calls itself in `kernel_info`."""
PATIENCE_SECONDS = 10.0
# What is there before the user's first cell stays until the end. Python goes through all of it several times when it
# ends, which is four fifths of what that costs. What users make is collected and finalized as ever.
FREEZING = "__import__('gc').freeze()"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCell:
    """What an ipykernel is asked to do when it has started.

    Attributes:
        send_mark: How many messages on IOPub to keep for one subscriber before any is dropped; 0: its own mark.
        freeze: Leave what is there by then out of garbage collection.
        quick_end: End without a search for child processes where there are none, and surely.
    """

    send_mark: int = 0
    freeze: bool = False
    quick_end: bool = False

    def code(self, connection: Mapping[str, Any]) -> str:
        """Return it; empty if there is nothing to do."""
        mark = raising(connection, self.send_mark) if self.send_mark else None
        expressions = [mark, quick_end.CODE if self.quick_end else None, FREEZING if self.freeze else None]
        # Expressions alone, so that no name is bound.
        return "\n".join(expression for expression in expressions if expression)

    async def run(self, questions: Questions, connection: Mapping[str, Any], *, timeout_seconds: float) -> None:
        """Have the kernel run it. That it was done is not promised.

        Args:
            questions: To its shell.
            connection: The connection file's content. Nobody may have subscribed yet.
            timeout_seconds: How long it may take, if that is less than ten.
        """
        code = self.code(connection)
        if not code:
            return
        content = {
            "code": code,
            "silent": True,
            "store_history": False,
            "allow_stdin": False,
            "stop_on_error": False,  # a kernel that is built otherwise goes on
        }
        try:
            seconds = min(PATIENCE_SECONDS, timeout_seconds)
            await questions.ask("execute_request", content, timeout_seconds=seconds)
        except TimeoutError:
            return
