"""A process that does not come to its end: it is ended, and what held it up is named."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent, indent

BEGIN = """
import asyncio, logging, threading
from enterprise_gateway.last_resort import LastResort

logging.basicConfig(format="%(message)s")

async def run():
    last_resort = LastResort(logging.getLogger())
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Run a process whose event loop runs this."""
    script = f"{BEGIN}{indent(dedent(body), '    ')}\nasyncio.run(run())\n"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_one_that_waits_for_what_never_comes_is_ended_in_time() -> None:
    ended = run("""
        last_resort.allow(0.1, code=3)
        async def wait_for_ever():
            await asyncio.Event().wait()
        await asyncio.create_task(wait_for_ever(), name="the culprit")
    """)
    assert ended.returncode == 3
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("task the culprit: "))
    assert "wait_for_ever" in line
    assert "Event.wait" in line


def test_one_whose_loop_is_blocked_is_ended_in_time() -> None:
    ended = run("""
        last_resort.allow(0.1, code=3)
        threading.Event().wait()
    """)
    assert ended.returncode == 3
    assert "thread MainThread: " in ended.stderr


def test_a_thread_that_hangs_when_all_is_done_is_not_waited_for() -> None:
    ended = run("""
        loop = asyncio.get_running_loop()
        last_resort.allow(3600, code=1)
        loop.run_in_executor(None, threading.Event().wait)
        last_resort.allow(0.1, code=0)
    """)
    assert ended.returncode == 0
    assert "thread asyncio_0: " in ended.stderr


def test_one_that_ends_by_itself_does() -> None:
    ended = run("last_resort.allow(3600, code=3)")
    assert (ended.returncode, ended.stderr) == (0, "")
