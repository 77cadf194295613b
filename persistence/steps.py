"""The steps of a kernel's record: each one is a single compare-and-set, built here and applied by the store.

Pure. A step's filter holds all that must still be true (allowed source phases, and where it matters act, owner,
generation, process); its update sets only what the step means to change, so that fields of a newer replica survive.
What is *not* promised: that a step whose write failed did not happen. Its sender reads the record back.

The rules come from the protocol models: a claim carries a fresh act id and every later step of that work filters on it;
whatever raises `generation` keeps the former process in the record until it has been seen dead; once `target` is
`stopped` nothing sets it back, save a revival of the ended record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from persistence.clients import ClientClaim
from persistence.documents import (
    KERNEL_INFO_MAX_CHARS,
    Act,
    HostDoc,
    KernelCandidate,
    KernelNotice,
    KernelRecord,
    Step,
    packed,
)
from persistence.phases import Phase, Target, sources

_STARTING = (Phase.LAUNCHING.value, Phase.RESTARTING.value)
_LIVE = (
    Phase.QUEUED.value,
    Phase.LAUNCHING.value,
    Phase.RUNNING.value,
    Phase.RESTARTING.value,
    Phase.STOPPING.value,
)
RESTARTING = "restarting"
AUTORESTARTING = "autorestarting"
"""The `execution_state` of a kernel that is restarted because it died; of one that somebody restarts: `restarting`."""
UNKNOWN = "unknown"
"""The `execution_state` of an adopted kernel until its new owner has asked it."""
IDLE = "idle"
_END_UNSETS = ("act", "owner", "former", "connections", "clients", "user_slot", "slot")


def _step(
    name: str,
    kernel_id: str,
    where: Mapping[str, Any],
    *,
    set: Mapping[str, Any],
    unset: tuple[str, ...] = (),
    inc: tuple[str, ...] = (),
    at_least: Mapping[str, Any] | None = None,
) -> Step:
    update: dict[str, Any] = {}
    if set:
        update["$set"] = dict(set)
    if unset:
        update["$unset"] = dict.fromkeys(unset, "")
    if inc:
        update["$inc"] = dict.fromkeys(inc, 1)
    if at_least:
        update["$max"] = dict(at_least)
    return Step(name=name, kernel_id=kernel_id, where={"_id": kernel_id, **where}, update=update)


def _phase(*phases: str) -> dict[str, Any]:
    return {"phase": phases[0]} if len(phases) == 1 else {"phase": {"$in": list(phases)}}


def _launching(phase: str) -> str:
    """A start's phase once it has begun to launch."""
    return Phase.LAUNCHING.value if phase == Phase.QUEUED.value else phase


def _mine(record: KernelRecord) -> dict[str, Any]:
    """The filter of every later step of a claimed act."""
    return {"act.id": record.act.id if record.act else None, "generation": record.generation}


def begin_launch(record: KernelRecord) -> Step:
    """The admitted start goes from queued to launching, before anything is launched.

    Only where that is at work before a record names it. What waits at a gate goes there by `store_process`.
    """
    where = {**_mine(record), **_phase(Phase.QUEUED.value), "target": Target.RUNNING.value}
    return _step("begin launch", record.kernel_id, where, set={"phase": Phase.LAUNCHING.value})


def store_process(
    record: KernelRecord,
    *,
    process: Mapping[str, Any],
    connection: bytes,
    provisioner_name: str,
    provisioner_info: bytes,
    host: HostDoc | None,
) -> Step:
    """Name the launched process, before it is let run. The former one has been seen dead by now."""
    where = {**_mine(record), **_phase(record.phase), "target": Target.RUNNING.value}
    values: dict[str, Any] = {
        "phase": _launching(record.phase),
        "process": dict(process),
        "connection": connection,
        "provisioner": {"name": provisioner_name, "info": provisioner_info},
    }
    unset: tuple[str, ...] = ("former",)
    if host is None:
        unset += ("host",)
    else:
        values["host"] = host.to_document()
    return _step("store process", record.kernel_id, where, set=values, unset=unset)


def mark_running(record: KernelRecord, *, now: datetime, kernel_info: Mapping[str, Any], replica: str) -> Step:
    """The kernel has answered on shell: the act is over, its replica owns the kernel."""
    where = {**_mine(record), **_phase(*_STARTING), "target": Target.RUNNING.value}
    values = {
        "phase": Phase.RUNNING.value,
        "owner": {"replica": replica},
        "started_by": replica,  # for change streams, where an owner that was there before is none that is set
        "execution_state": "idle",
        "execution_n": 0,
        "started_at": now,
    }
    info = packed(kernel_info)
    if len(info) <= KERNEL_INFO_MAX_CHARS:
        values["kernel_info"] = info
    return _step(
        "mark running",
        record.kernel_id,
        where,
        set=values,
        unset=("act",),
        inc=("activity_seq",),
        at_least={"last_activity": now},
    )


def claim_restart(record: KernelRecord, *, act: Act, now: datetime) -> Step:
    """Claim a restart of the running generation that `record` shows; its process becomes the former one."""
    asked = {"phase": Phase.RESTARTING.value, "execution_state": RESTARTING, "restarts": 0}
    return _raise_generation("claim restart", record, _wanted(record), act=act, now=now, set=asked, unset=("reason",))


def restart_dead(record: KernelRecord, *, owner: str, act: Act, restarts: int, reason: str, now: datetime) -> Step:
    """The owner claims the restart of a running generation that died by itself, as `claim_restart` does on request.

    A late notice of an older death matches nothing, nor does that of a kernel which somebody ends or restarts.

    Args:
        record: The generation that died.
        owner: Who must still own it.
        act: The claim.
        restarts: How many automatic restarts in a row this makes; absolute, so that a repeated write counts once.
        reason: How it died.
        now: The latest that now can be.
    """
    where = {**_wanted(record), "owner.replica": owner}
    died = {"phase": Phase.RESTARTING.value, "execution_state": AUTORESTARTING, "restarts": restarts, "reason": reason}
    return _raise_generation("restart dead", record, where, act=act, now=now, set=died)


def take_over_start(record: KernelRecord, *, act: Act, now: datetime) -> Step:
    """Take a dead or overdue launch or restart over: a new generation, what the former actor started is named."""
    where = {
        **_phase(record.phase),
        "act.id": record.act.id if record.act else None,
        "generation": record.generation,
        "process": _as_stored(record.process),
    }
    values = {"phase": _launching(record.phase)}
    return _raise_generation("take over start", record, where, act=act, now=now, set=values)


def take_over_stop(record: KernelRecord, *, act: Act) -> Step:
    """Take a dead or overdue stop over as it is: the generation stays."""
    where = {**_phase(Phase.STOPPING.value), "act.id": record.act.id if record.act else None}
    return _step("take over stop", record.kernel_id, where, set={"act": act.to_document()})


def _raise_generation(
    name: str,
    record: KernelRecord,
    where: Mapping[str, Any],
    *,
    act: Act,
    now: datetime,
    set: Mapping[str, Any] | None = None,
    unset: tuple[str, ...] = (),
) -> Step:
    values: dict[str, Any] = {**(set or {}), "act": act.to_document(), "owner": {"replica": act.replica}}
    if record.process is not None:
        values["former"] = dict(record.process)
    return _step(
        name,
        record.kernel_id,
        where,
        set=values,
        unset=("process", *unset),
        inc=("generation", "activity_seq"),
        at_least={"last_activity": now},
    )


def _wanted(record: KernelRecord) -> dict[str, Any]:
    """The filter of a claim on the running generation that `record` shows, while it is wanted to run."""
    return {
        **_phase(Phase.RUNNING.value),
        "target": Target.RUNNING.value,
        "generation": record.generation,
        "process": _as_stored(record.process),
    }


def _as_stored(process: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if process is None else dict(process)


def former_is_dead(record: KernelRecord) -> Step:
    """The process of the generation before has been seen dead: nobody need look for it again."""
    return _step("former is dead", record.kernel_id, _mine(record), set={}, unset=("former",))


def claim_stop(kernel_id: str, generation: int, *, act: Act) -> Step:
    """A DELETE of a running kernel: one compare-and-set claims it and sets the target for good.

    Of the generation that was read: a write that arrives late ends nothing that was started since.
    """
    values = {"phase": Phase.STOPPING.value, "target": Target.STOPPED.value, "act": act.to_document()}
    where = {**_phase(Phase.RUNNING.value), "generation": generation}
    return _step("claim stop", kernel_id, where, set=values, inc=("activity_seq",))


def claim_cull(kernel: KernelCandidate, *, act: Act | None, reason: str) -> Step:
    """Claim a kernel that was idle for too long: stale as soon as anything of it was acknowledged since it was read.

    Args:
        kernel: As it was read.
        act: Of the replica that ends it; None: its owner, who alone can reach it, sees the target and does.
        reason: Why, in words.
    """
    where = {
        **_phase(Phase.RUNNING.value),
        "target": Target.RUNNING.value,
        "generation": kernel.generation,
        "activity_seq": kernel.activity_seq,
    }
    values: dict[str, Any] = {"target": Target.STOPPED.value, "reason": reason, "restarts": 0}
    if act is not None:
        values |= {"phase": Phase.STOPPING.value, "act": act.to_document()}
    return _step("claim cull", kernel.kernel_id, where, set=values, inc=("activity_seq",))


def want_stopped(kernel_id: str) -> Step:
    """Ask whoever works at the kernel to stop it instead. Never undone."""
    return _step("want stopped", kernel_id, _phase(*_LIVE), set={"target": Target.STOPPED.value})


def end_act(record: KernelRecord, *, reason: str, now: datetime, repeatable: bool = False) -> Step:
    """End the record as the last step of one's own act; the slots are free with the same write.

    Args:
        record: As the act last saw it.
        reason: Why.
        now: The latest that now can be.
        repeatable: Nothing was done and the client was told to ask again: its `Idempotency-Key` is free, too.
    """
    where = {**_mine(record), **_phase(*_sources_of_end())}
    freed = ("request.key",) if repeatable else ()
    return _end("end act", record.kernel_id, where, reason=reason, now=now, unset=freed)


def end_dead(record: KernelRecord, *, owner: str, reason: str, now: datetime) -> Step:
    """The owner ends a running generation that died by itself; a late notice of an older death matches nothing."""
    where = {
        **_phase(Phase.RUNNING.value),
        "generation": record.generation,
        "owner.replica": owner,
    }
    return _end("end dead", record.kernel_id, where, reason=reason, now=now)


def end_with_host(kernel: KernelRecord | KernelNotice, *, reason: str, now: datetime) -> Step:
    """End a kernel of a host that is provably no more, whatever was being done with it."""
    where = {
        **_phase(*_LIVE),
        "generation": kernel.generation,
        "host.id": kernel.host.id if kernel.host else None,
    }
    return _end("end with host", kernel.kernel_id, where, reason=reason, now=now)


def _sources_of_end() -> tuple[str, ...]:
    return tuple(str(phase) for phase in sources(Phase.ENDED))


def _end(
    name: str, kernel_id: str, where: Mapping[str, Any], *, reason: str, now: datetime, unset: tuple[str, ...] = ()
) -> Step:
    values = {
        "phase": Phase.ENDED.value,
        "target": Target.STOPPED.value,
        "execution_state": "dead",
        "reason": reason,
        "ended_at": now,
    }
    return _step(name, kernel_id, where, set=values, unset=_END_UNSETS + unset)


def adopt(kernel: KernelRecord | KernelNotice, *, replica: str, now: datetime) -> Step:
    """Make a replica the owner of a kernel whose owner, as `kernel` shows it, is gone.

    One that was not known to be idle may have worked until now: that counts as activity.
    """
    where = {
        **_phase(Phase.RUNNING.value),
        "generation": kernel.generation,
        "owner.replica": kernel.owner,
    }
    values = {"owner": {"replica": replica}, "execution_state": UNKNOWN, "execution_n": 0}
    worked = None if kernel.execution_state == IDLE else {"last_activity": now}
    return _step("adopt", kernel.kernel_id, where, set=values, inc=("activity_seq",), at_least=worked)


def open_connection(
    kernel_id: str,
    *,
    replica: str,
    count: int,
    n: int,
    now: datetime,
    client: ClientClaim | None = None,
    first_of: int | None = None,
) -> Step:
    """Acknowledge an opened WebSocket before it is accepted: it stops any cull that was read before.

    With `first_of` the record was not read: it must say that this generation runs, and that no session was here yet.

    With `client` the same write makes it the newest connection of its session. Stale where that session has a newer
    one, and where a newer count of this replica (a higher `n`) is there already: a late "1" must not undo a "0".
    """
    # Never unknown phases: a newer replica's are untouchable. Ended kernels have no connections.
    values: dict[str, Any] = {f"connections.{replica}": {"count": count, "n": n}}
    where = {**_phase(*_LIVE), f"connections.{replica}.n": {"$not": {"$gte": n}}}
    unset: tuple[str, ...] = ()
    if client is not None:
        mine = f"clients.{client.key}"
        values[mine] = {"replica": client.replica, "n": client.n}
        where |= {mine: {"$exists": False}} if client.former is None else {f"{mine}.n": client.former.n}
        unset = tuple(f"clients.{key}" for key in client.forgotten)
    if first_of is not None:
        where |= {**_phase(Phase.RUNNING.value), "generation": first_of, "clients": {"$in": [None, {}]}}
    return _step(
        "open connection",
        kernel_id,
        where,
        set=values,
        unset=unset,
        inc=("activity_seq",),
        at_least={"last_activity": now},
    )


def revive(ended: KernelRecord, anew: KernelRecord) -> Step:
    """Start an ended kernel's id anew, by its own user: the generation goes on counting, all else is `anew`."""
    document = anew.to_document()
    kept = {"_id", "generation", "activity_seq"}
    values = {key: value for key, value in document.items() if key not in kept and value is not None}
    gone = (
        "process",
        "former",
        "provisioner",
        "connection",
        "host",
        "kernel_info",
        "reason",
        "started_at",
        "started_by",
    )
    unset = tuple(
        key for key in (*gone, "ended_at", "slot", "user_slot", "clients", "connections", "flush") if key not in values
    )
    where = {**_phase(Phase.ENDED.value), "username": ended.username, "generation": ended.generation}
    return _step("revive", ended.kernel_id, where, set=values, unset=unset, inc=("generation", "activity_seq"))
