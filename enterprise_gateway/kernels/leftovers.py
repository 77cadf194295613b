"""What no living kernel needs any more: the decision by which a sweep ends processes and removes directories. Pure.

It rests on an order: what there is was listed first, the records were read afterwards, surely. A kernel's record is
written, and its generation raised, before anything of that generation exists. So whatever was listed has a record that
is as new, or is left over; and what is left over once stays so.
"""

from __future__ import annotations

from collections.abc import Mapping

from enterprise_gateway.provisioners.census import Census, Found
from enterprise_gateway.provisioners.host import HostIdentity
from persistence.documents import KernelNotice
from persistence.phases import Phase

_KNOWN = frozenset(phase.value for phase in Phase)


def left_over(census: Census, kernels: Mapping[str, KernelNotice], host: HostIdentity) -> dict[Found, str]:
    """Say what may go, each with the reason.

    A directory stays while a process of its generation runs, and where its kernel was on another host that shares the
    disk: that one's own sweep sees its processes.

    Args:
        census: What was listed.
        kernels: What the records say of all kernels in it, by id.
        host: Where it was listed.
    """
    running = {(process.kernel_id, process.generation) for process in census.processes}
    candidates: list[Found] = list(census.processes)
    for directory in census.directories:
        in_use = (directory.kernel_id, directory.generation) in running
        if not in_use and _here(kernels.get(directory.kernel_id), host):
            candidates.append(directory)
    reasons = {found: why_left_over(found.generation, kernels.get(found.kernel_id)) for found in candidates}
    return {found: reason for found, reason in reasons.items() if reason is not None}


def why_left_over(generation: int, kernel: KernelNotice | None) -> str | None:
    """Say why what belongs to this generation of a kernel may go.

    Args:
        generation: Of what was listed.
        kernel: What the record says; None: there is none.

    Returns:
        The reason. None: it stays, for it serves; or is being launched, also by an actor that is late or dead, which is
        for whoever takes his act over; or a newer replica, whose words are not understood here, is at work on it.
    """
    if kernel is None:
        return "no record names its kernel"
    if kernel.phase == Phase.ENDED.value:
        return "its kernel has ended"
    if kernel.phase in _KNOWN and generation < kernel.generation:
        return "its kernel is in a later generation"
    return None


def _here(kernel: KernelNotice | None, host: HostIdentity) -> bool:
    return kernel is None or kernel.host is None or host.is_or_was(kernel.host)
