"""Runs a module of this project under a profiler that a signal turns on and off.

    python -m benchmarks.profiled FILE python -m MODULE [ARGUMENTS]

SIGUSR1 begins a profile of the main thread; the next one ends it and writes it to FILE.
"""

from __future__ import annotations

import cProfile
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from types import FrameType


class Switch:
    """Turns the profiler on and off.

    Args:
        file: Where profiles are written; a file that is there is whole.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._profile: cProfile.Profile | None = None

    def turn(self, _number: int, _frame: FrameType | None) -> None:
        """Begin, or end what was begun."""
        if self._profile is None:
            self._profile = cProfile.Profile(time.thread_time)
            self._profile.enable()
            return
        self._profile.disable()
        unfinished = self._file.with_suffix(".part")
        self._profile.dump_stats(unfinished)
        self._profile = None
        os.replace(unfinished, self._file)


def main() -> None:
    """Run the module."""
    file, _python, _m, module, *arguments = sys.argv[1:]
    signal.signal(signal.SIGUSR1, Switch(Path(file)).turn)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
