"""`make profile`: where a relayed message's microseconds go.

Twice: of the gateway as it is, how much each of its threads has; then under cProfile, which functions of its main
thread have it, by the thread's CPU clock. The profiler makes small functions look dearer than they are: compare
functions by the second, and changes by the first.
"""

from __future__ import annotations

import argparse
import marshal
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.clients.channels import Channels
from benchmarks.figures import cells
from benchmarks.figures.relay import drain
from benchmarks.process import cpu_seconds, threads
from benchmarks.subjects.ours import Ours
from benchmarks.subjects.subject import Gateway, warm_kernel
from tests.cluster.waiting import eventually_now

FLOOD, TRICKLE, RATE = 20_000, 1_000, 200
SHOWN = 40
COUNT, OWN = 1, 2

Place = tuple[str, int, str]
"""File, line and name of a function; a built-in one has no line."""
Calls = Mapping[Place, tuple[Any, ...]]
"""What cProfile writes of each function: calls at the `COUNT`th place, seconds of its own at the `OWN`th."""

LOADS = {
    "flood": (FLOOD, cells.FLOOD.format(count=FLOOD)),
    "trickle": (TRICKLE, cells.TRICKLE.format(count=TRICKLE, rate=RATE)),
}


def main() -> None:
    """Profile what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=LOADS, default=list(LOADS), help="which load")
    parser.add_argument("--functions", type=int, default=SHOWN, help="how many functions are shown")
    asked = parser.parse_args()
    for name in asked.only:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _profile(name, Path(folder) / "profile", asked.functions)


def _profile(name: str, file: Path, functions: int) -> None:
    count, code = LOADS[name]
    prefix = [sys.executable, "-m", "benchmarks.profiled", str(file)]
    with Ours(prefix).run() as gateway, warm_kernel(gateway) as channels:
        print(f"\n## {name}: {count:,} messages\n")
        _by_thread(gateway, lambda: _send(channels, code), count)
        _toggle(gateway)
        received = _send(channels, code)
        _toggle(gateway)
        eventually_now(file.exists, "the profile is written")
    print(f"\n{table(marshal.loads(file.read_bytes()), received, functions)}")


def _send(channels: Channels, code: str) -> int:
    return drain(channels, code, b"stream").count


def _toggle(gateway: Gateway) -> None:
    os.kill(gateway.pid, signal.SIGUSR1)


def _by_thread(gateway: Gateway, send: Callable[[], int], count: int) -> None:
    began, before = cpu_seconds(gateway.pid), threads(gateway.pid)
    received = send()
    used = defaultdict[str, float](float)
    for thread, use in threads(gateway.pid).items():
        kind = "main" if thread == gateway.pid else use.name
        used[kind] += use.cpu_seconds - (before[thread].cpu_seconds if thread in before else 0.0)
    whole = cpu_seconds(gateway.pid) - began
    print(f"{received:,} received; {whole / count * 1e6:.1f} µs of CPU per message without the profiler, of these")
    for name, seconds in sorted(used.items(), key=lambda entry: -entry[1]):
        if seconds / whole > 0.005:
            print(f"    {seconds / count * 1e6:7.1f} µs  {name}")


def table(calls: Calls, messages: int, functions: int) -> str:
    """Functions by their own time, per message."""
    dearest = sorted(calls.items(), key=lambda entry: -entry[1][OWN])
    whole = sum(found[OWN] for found in calls.values())
    rows = [f"| {whole / messages * 1e6:.2f} | {sum(found[COUNT] for found in calls.values()) / messages:.2f} | all |"]
    for place, found in dearest[:functions]:
        rows.append(f"| {found[OWN] / messages * 1e6:.2f} | {found[COUNT] / messages:.2f} | {_called(place)} |")
    return "\n".join(["| own µs per message | calls per message | function |", "| ---: | ---: | --- |", *rows])


def _called(place: Place) -> str:
    file, line, name = place
    if not line:
        return f"`{name.strip('<>')}`"
    return f"`{name}` {'/'.join(Path(file).parts[-2:])}:{line}"


if __name__ == "__main__":
    main()
