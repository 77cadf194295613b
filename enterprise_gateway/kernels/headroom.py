"""Whether there is room for another kernel, or another client: asked before anything is begun for it.

So a start that can't have what it needs leaves nothing, a restart that can't leaves the kernel as it is, and what runs
already keeps what it has.
"""

from __future__ import annotations

import asyncio

from enterprise_gateway.errors import no_room
from enterprise_gateway.provisioners.errors import UnsafeRuntimeDirectory
from enterprise_gateway.provisioners.runtime_dirs import RuntimeDirectories
from enterprise_gateway.shortage import WORK_DESCRIPTORS, descriptors_are_short
from persistence import disk
from persistence.coalesce import SharedQuery

LOOK_SECONDS = 10.0


class Headroom:
    """Of this replica and its host.

    Args:
        directories: Of the kernels of this host.
    """

    def __init__(self, directories: RuntimeDirectories) -> None:
        self._directories = directories
        self._full = SharedQuery(self._look_at_disk)

    def check_for_client(self) -> None:
        """See that this process may open what a WebSocket needs.

        Raises:
            GatewayError: 503, it may not.
        """
        if descriptors_are_short(WORK_DESCRIPTORS):
            raise no_room(
                "This gateway has nearly as many files and connections open as it may. Try again, to reach another "
                "replica; a higher limit of open files (ulimit -n) helps."
            )

    async def check_for_kernel(self) -> None:
        """See that this process and its host have what a launch needs.

        Raises:
            GatewayError: 503, they have not.
        """
        self.check_for_client()
        try:
            full = await self._full()
        except TimeoutError as error:
            raise no_room(f"The kernels' directory {self._directories.root} does not answer.") from error
        except (UnsafeRuntimeDirectory, OSError) as error:
            raise no_room(f"The kernels' directory can't be used: {error}") from error
        if full:
            raise no_room(f"The disk with the kernels' directory {self._directories.root} is full.")

    async def _look_at_disk(self) -> bool:
        async with asyncio.timeout(LOOK_SECONDS):
            return await asyncio.to_thread(self._disk_is_full)

    def _disk_is_full(self) -> bool:
        self._directories.prepare()  # somebody may have tidied it away
        return disk.is_short(self._directories.root)
