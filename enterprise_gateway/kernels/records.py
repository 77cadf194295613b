"""The record that a start begins with, written before anything is launched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from jupyter_client.kernelspec import KernelSpec

from enterprise_gateway.kernels.kernel_manager import provisioner_name, spec_to_mapping
from enterprise_gateway.kernels.parts import KernelParts
from enterprise_gateway.kernels.requests import KERNEL_ID_ENV, StartRequest
from persistence import clock
from persistence.documents import KernelRecord, RequestDoc
from persistence.phases import Phase, Target


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A start request, understood and allowed.

    Attributes:
        request: As it came.
        name: The kernelspec's name.
        spec: The kernelspec.
        env: What of the request's env may pass.
        timeout_seconds: How long the launch may take.
        cull_timeout_seconds: How long the kernel wishes to be idle before it is culled, if it has a wish and may.
        deadline: The same from the request's arrival on.
    """

    request: StartRequest
    name: str
    spec: KernelSpec
    env: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    deadline: clock.Deadline
    cull_timeout_seconds: float | None = None


def new_record(wanted: Wanted, parts: KernelParts) -> KernelRecord:
    """Return the record of a kernel that is to be started, claimed by this replica with a fresh act.

    Raises:
        SealingKeyMissing: No key of this replica is known to all.
    """
    request = wanted.request
    kernel_id = request.kernel_id or str(uuid4())
    now = parts.store.clock.latest_now()
    act = parts.acts.new_act()
    return KernelRecord(
        kernel_id=kernel_id,
        kernel_name=wanted.name,
        username=request.username,
        phase=Phase.QUEUED.value,
        target=Target.RUNNING.value,
        generation=1,
        act=act,
        owner=act.replica,
        execution_state="starting",
        last_activity=now,
        kernelspec=spec_to_mapping(wanted.spec, wanted.name),
        provisioner_name=provisioner_name(wanted.spec.metadata),
        request=RequestDoc(
            path=request.path,
            env=parts.managers.seal(kernel_id, {**wanted.env, KERNEL_ID_ENV: kernel_id}),
            key=request.idempotency_key,
            deadline=now + timedelta(seconds=wanted.deadline.remaining_seconds),
            has_id=request.kernel_id is not None,
            launch_timeout_seconds=wanted.timeout_seconds,
            cull_idle_timeout_seconds=wanted.cull_timeout_seconds,
        ),
        created_at=now,
    )
