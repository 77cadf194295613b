"""Asking kernels whether they are busy, on shell: no answer yet means busy, an answer idle as of then.

Asked is a kernel that has changed hands, and one that is said to be busy and was silent for long: a kernel drops what a
replica is too slow to take (one that was paused, say), the end of a cell too, and would else be busy for ever. There is
one open question a kernel, however long its cell takes. The owner asks, not the leader: it can reach the kernel, and it
alone tells busy and idle, and only what has changed; so what a leader wrote into the record might stay, and be wrong.
"""

from __future__ import annotations

from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.relay import probe

SILENT_SECONDS = 60.0
PATIENCE_SECONDS = 86_400.0


class KernelProber:
    """Asks the kernels that this replica owns."""

    def __init__(self, parts: KernelParts) -> None:
        self._parts = parts

    def ask(self, held: HeldKernel) -> None:
        """Ask the generation that is served, in the place of any question that is open."""
        if held.probe is not None:
            held.probe.cancel()
        held.probe = self._parts.background.once(f"probe of kernel {held.kernel_id}", self._ask(held, held.generation))

    def ask_silent(self) -> None:
        """Ask those of which nothing is known, or that are said to be busy and were silent for long; once at a time."""
        for held in self._parts.held:
            asked = held.probe is not None and not held.probe.done()
            in_doubt = held.activity.execution_state is None or held.activity.silent(SILENT_SECONDS)
            if held.owned and not asked and in_doubt:
                self.ask(held)

    async def _ask(self, held: HeldKernel, generation: int) -> None:
        if held.connection is None or held.generation != generation:
            return
        question = held.activity.asked()
        try:
            answer = await probe.kernel_info(held.connection, channel="shell", timeout_seconds=PATIENCE_SECONDS)
        except TimeoutError:
            return  # asked anew when it is silent
        if held.generation == generation:
            held.activity.answered(question)
            held.activity.learned(answer)
