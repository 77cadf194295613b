"""Could an act that begins here end the kernel's process? Asked before it is claimed, for a claim shuts all others out.

Of a local kernel the host says so. One of a foreign provisioner may be in the hands of the replica that launched it
alone: then another's claim would only keep that one from it.
"""

from __future__ import annotations

from enterprise_gateway.errors import GatewayError
from enterprise_gateway.kernels.parts import KernelParts
from persistence.documents import KernelCandidate, KernelRecord


async def check_can_end(parts: KernelParts, record: KernelRecord) -> None:
    """See that this replica can reach the kernel, open its secrets, and end what the record names.

    Raises:
        GatewayError: 503, with what is in the way.
    """
    parts.managers.check_reach(record)
    process = record.process or record.former
    if record.host is not None or process is None:
        return
    held = parts.held.get(record.kernel_id)
    if held is None or held.foreign(process) is None:
        await parts.managers.check_restorable(record)


async def can_end(parts: KernelParts, record: KernelRecord) -> bool:
    """Say whether `check_can_end` passes."""
    try:
        await check_can_end(parts, record)
    except GatewayError:
        return False
    return True


def surely_ends(parts: KernelParts, kernel: KernelCandidate) -> bool:
    """Say whether this replica can end the kernel, as far as is known without asking its provisioner."""
    if kernel.host is not None:
        return parts.managers.reaches(kernel)
    held = parts.held.get(kernel.kernel_id)
    return held is not None and held.manager is not None and held.generation == kernel.generation
