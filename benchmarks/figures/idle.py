"""What connected kernels that do nothing cost a fresh gateway, and what it keeps of that when they have gone."""

from __future__ import annotations

from benchmarks.clients.channels import Channels, Request
from benchmarks.figures.figure import Figure, Line, Values
from benchmarks.process import holdings
from benchmarks.subjects.subject import Gateway, Running, warm_kernel

KERNELS = 10


def idle(subject: Running) -> Values:
    """Connect to some kernels of a fresh gateway, then end them."""
    if not isinstance(subject, Gateway):
        return {}
    with subject.another() as gateway:
        with warm_kernel(gateway):
            pass  # what is loaded with the first kernel is not each one's
        before = holdings(gateway.pid)
        kernels = [_connected(gateway) for _ in range(KERNELS)]
        during = holdings(gateway.pid)
        for kernel_id, channels in kernels:
            channels.close()
            gateway.end_kernel(kernel_id)
        after = holdings(gateway.pid)
    return {
        "idle_memory": (during.memory_mib - before.memory_mib) / KERNELS,
        "idle_descriptors": (during.descriptors - before.descriptors) / KERNELS,
        "left_memory": (after.memory_mib - before.memory_mib) / KERNELS,
        "left_descriptors": (after.descriptors - before.descriptors) / KERNELS,
    }


def _connected(gateway: Gateway) -> tuple[str, Channels]:
    kernel_id = gateway.start_kernel()
    channels = gateway.open(kernel_id)
    Request(channels, "pass").finish()
    return kernel_id, channels


FIGURES = (
    Figure(
        "idle",
        (
            Line("idle_memory", "memory per idle connected kernel", "MiB", "≤ 0.15 MiB"),
            Line("idle_descriptors", "the same: open files", "", "≤ 8"),
            Line("left_memory", "after their DELETE: memory left per kernel", "MiB", "0 MiB"),
            Line("left_descriptors", "the same: open files", "", "0"),
        ),
        idle,
    ),
)
