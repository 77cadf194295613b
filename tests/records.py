"""Records for tests, by the state that is wanted. Times are fixed; whatever matters to a test, it says itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from persistence.documents import Act, HostDoc, KernelRecord, ReplicaRecord, RequestDoc, SessionRecord
from persistence.phases import Phase, Target

NOW = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
HOST = HostDoc(id="host-1", machine="machine-1", boot="boot-1", name="node-a")


def request(**changes: Any) -> RequestDoc:
    """A request without a key."""
    plain = RequestDoc(
        path="/work", env=b"sealed env", key=None, deadline=NOW, has_id=False, launch_timeout_seconds=40.0
    )
    return replace(plain, **changes)


def queued_kernel(kernel_id: str = "k1", **changes: Any) -> KernelRecord:
    """Recorded, not yet launched, claimed by replica r1."""
    plain = KernelRecord(
        kernel_id=kernel_id,
        kernel_name="python3",
        username="ann",
        phase=Phase.QUEUED,
        target=Target.RUNNING,
        act=Act(id="act-1", replica="r1", since=NOW),
        last_activity=NOW,
        kernelspec={"argv": ["python"], "display_name": "Python 3", "language": "python", "name": "python3"},
        provisioner_name="gateway-local-provisioner",
        request=request(),
        created_at=NOW,
    )
    return replace(plain, **changes)


def running_kernel(kernel_id: str = "k1", **changes: Any) -> KernelRecord:
    """Launched, idle, owned by replica r1."""
    launched = replace(
        queued_kernel(kernel_id),
        phase=Phase.RUNNING,
        act=None,
        owner="r1",
        execution_state="idle",
        kernel_info={"status": "ok", "protocol_version": "5.3"},
        host=HOST,
        provisioner_info=b"sealed info",
        process={"pid": 4711, "start_ticks": 99},
        connection=b"sealed connection",
        started_at=NOW,
    )
    return replace(launched, **changes)


def ended_kernel(kernel_id: str = "k1", **changes: Any) -> KernelRecord:
    """History."""
    gone = running_kernel(
        kernel_id,
        phase=Phase.ENDED,
        target=Target.STOPPED,
        owner=None,
        execution_state="dead",
        reason="deleted by a request",
        ended_at=NOW,
    )
    return replace(gone, **changes)


def session(session_id: str = "s1", **changes: Any) -> SessionRecord:
    """A notebook's session of user ann."""
    plain = SessionRecord(
        session_id=session_id,
        username="ann",
        path="a.ipynb",
        name="a.ipynb",
        type="notebook",
        kernel_id="k1",
        created_at=NOW,
    )
    return replace(plain, **changes)


def replica(replica_id: str = "r1", **changes: Any) -> ReplicaRecord:
    """A ready replica that has beaten once."""
    plain = ReplicaRecord(
        replica_id=replica_id,
        url="http://127.0.0.1:8888",
        host=HOST,
        version="1.0",
        key_ids=("0123456789ab",),
        beat=1,
        beat_at=NOW,
    )
    return replace(plain, **changes)
