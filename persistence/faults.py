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

_reached: Callable[[str, str], None] | None = None


def reach(point: str, kernel_id: str) -> None:
    """Be at a point: from the event loop's thread, for a stop that another thread asks for comes a little later."""
    if _reached is not None:
        _reached(point, kernel_id)


def arm(plan: str) -> None:
    """Have something done at a point from now on.

    Args:
        plan: `kill@POINT@KERNEL` (SIGKILL, as a crash) or `stop@POINT@KERNEL` (SIGSTOP, as a pause), of this process,
            the first time that it is at this point of work on that kernel. `trace@FILE` appends each point that is
            reached, as `KERNEL POINT`. Empty: nothing.

    Raises:
        ConfigurationError: It is none of these.
    """
    global _reached
    match plan.split("@"):
        case [""]:
            _reached = None
        case ["kill", point, kernel_id]:
            _reached = _signal(signal.SIGKILL, point, kernel_id)
        case ["stop", point, kernel_id]:
            _reached = _signal(signal.SIGSTOP, point, kernel_id)
        case ["trace", file]:
            _reached = _note(Path(file))
        case _:
            raise ConfigurationError(f"faults are kill@POINT@KERNEL, stop@POINT@KERNEL or trace@FILE, not {plan!r}")


def _signal(number: signal.Signals, wanted_point: str, wanted_kernel: str) -> Callable[[str, str], None]:
    def reached(point: str, kernel_id: str) -> None:
        if (point, kernel_id) == (wanted_point, wanted_kernel):
            arm("")  # once: what a paused process does afterwards is the point of the test
            os.kill(os.getpid(), number)

    return reached


def _note(file: Path) -> Callable[[str, str], None]:
    def reached(point: str, kernel_id: str) -> None:
        with file.open("a", encoding="utf-8") as notes:
            notes.write(f"{kernel_id} {point}\n")

    return reached
