"""Asking kernels whether they are busy, on shell: no answer yet means busy, an answer idle as of then.

Asked is a kernel that has changed hands, and one that was silent for long: a kernel drops what a replica is too slow to
take (one that was paused, say). Where that was the end of a cell it would be busy for ever; where it was the beginning,
a long silent cell would look idle, and be culled. There is one open question a kernel, however long its cell takes, and
one a silence where it is idle. The owner asks, not the leader: it can reach the kernel, and it alone tells busy and
idle, and only what has changed; so what a leader wrote into the record might stay, and be wrong.
"""

from __future__ import annotations

import asyncio

from enterprise_gateway.kernels.held import HeldKernel
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.relay import probe

PATIENCE_SECONDS = 86_400.0
ANSWER_SECONDS = 2.0  # what an idle kernel takes at most to answer, on a busy machine; else it was busy


class KernelProber:
    """Asks the kernels that this replica owns."""

    def __init__(self, parts: KernelParts) -> None:
        self._parts = parts
        self._answer_seconds = min(ANSWER_SECONDS, parts.settings.silent_seconds / 4)

    def ask(self, held: HeldKernel) -> None:
        """Ask the generation that is served, in the place of any question that is open."""
        if held.probe is not None:
            held.probe.cancel()
        held.probe = self._parts.background.once(f"probe of kernel {held.kernel_id}", self._ask(held, held.generation))

    def ask_silent(self) -> None:
        """Ask those of which nothing is known, or that were silent for long; once at a time."""
        for held in self._parts.held:
            asked = held.probe is not None and not held.probe.done()
            if held.owned and not asked and held.activity.in_doubt(self._parts.settings.silent_seconds):
                self.ask(held)

    async def _ask(self, held: HeldKernel, generation: int) -> None:
        if held.connection is None or held.generation != generation:
            return
        question = held.activity.asked()
        late = asyncio.get_running_loop().call_later(self._answer_seconds, held.activity.unanswered, question)
        try:
            answer = await probe.kernel_info(held.connection, channel="shell", timeout_seconds=PATIENCE_SECONDS)
        except TimeoutError:
            return  # asked anew when it is silent
        finally:
            late.cancel()
        if held.generation == generation:
            held.activity.answered(question)
            held.activity.learned(answer)
