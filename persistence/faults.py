"""Named points between the steps of acts, at which a test has this process killed or stopped, or learns of them.

Each compare-and-set on a kernel's record is a pair of points by itself, `before:` and `after:` its name (the store of
kernels says so), so that no new step can be forgotten. Side effects between them name points of their own. Until `arm`
is called, which only a test's environment makes happen, a point does nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from persistence.errors import ConfigurationError

_reached: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Be at a point: from the event loop's thread, for a stop that another thread asks for comes a little later."""
    if _reached is not None:
        _reached(point)


def arm(plan: str) -> None:
    """Have something done at a point from now on.

    Args:
        plan: `kill@POINT` (SIGKILL, as a crash) or `stop@POINT` (SIGSTOP, as a pause), of this process, the first time
            that it is reached; `trace@FILE` appends each point that is reached; empty: nothing.

    Raises:
        ConfigurationError: It is none of these.
    """
    global _reached
    verb, _, what = plan.partition("@")
    plans: dict[str, Callable[[str], None]] = {
        "": _nothing,
        "kill": lambda point: _signal(point, what, signal.SIGKILL),
        "stop": lambda point: _signal(point, what, signal.SIGSTOP),
        "trace": lambda point: _note(point, Path(what)),
    }
    if verb not in plans or bool(verb) != bool(what):
        raise ConfigurationError(f"faults are kill@POINT, stop@POINT or trace@FILE, not {plan!r}")
    _reached = plans[verb] if verb else None


def _nothing(point: str) -> None:
    """Let a point pass."""


def _signal(point: str, wanted: str, number: signal.Signals) -> None:
    global _reached
    if point == wanted:
        _reached = None  # once: what a paused process does afterwards is the point of the test
        os.kill(os.getpid(), number)


def _note(point: str, file: Path) -> None:
    with file.open("a", encoding="utf-8") as notes:
        notes.write(f"{point}\n")
