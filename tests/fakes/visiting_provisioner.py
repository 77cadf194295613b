"""A kernel provisioner as a package brings it: of another class than the gateway's, and it takes over by pid."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from persistence import clock


class VisitingProvisioner(LocalProvisioner):
    """Like jupyter_client's own, but what it told is enough for another replica's to go on from."""

    @property
    def has_process(self) -> bool:
        return self.pid is not None

    async def poll(self) -> int | None:
        if self.process is not None:
            self.process.poll()  # reaps it
        return None if _lives(self.pid) else 1

    async def wait(self) -> int | None:
        while await self.poll() is None:
            await clock.sleep(0.05)
        return 1

    async def send_signal(self, signum: int) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signum)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)


def _lives(pid: int | None) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # the replica that launched it reaps it
