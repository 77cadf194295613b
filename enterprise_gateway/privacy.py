"""What other processes of the same user may see of the gateway's: kernels are such processes."""

from __future__ import annotations

import ctypes

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def hide_memory() -> bool:
    """Keep this process's environment, memory and open files from other processes of its user; root sees them still.

    It holds tokens and sealing keys, and local kernels run as the same user. What this process executes is not hidden
    with it. There are no core dumps of it any more either, and a debugger needs root.

    Returns:
        Whether Linux did it.
    """
    return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
