from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import bson
import pytest

from persistence.documents import (
    ClientHold,
    ConnectionCount,
    KernelListing,
    KernelNotice,
    KernelRecord,
    ReplicaRecord,
    SessionRecord,
    Step,
    connection_count,
    instant,
    instant_rounded_up,
    packed,
    unpacked,
)
from persistence.errors import PersistenceError
from tests.records import HOST, NOW, ended_kernel, queued_kernel, replica, request, running_kernel, session

FULL = replace(
    running_kernel(),
    act=queued_kernel().act,
    flush="f1",
    connections={"r1": ConnectionCount(count=2, n=7), "r2": ConnectionCount(count=0, n=1)},
    clients={"c1": ClientHold(replica="r2", n=3)},
    former={"pid": 1, "start_ticks": 2},
    restarts=3,
    request=request(key="key-1", has_id=True),
    user_slot="ann:0",
    slot="0",
    reason="why",
    ended_at=NOW,
)


@pytest.mark.parametrize("record", [queued_kernel(), running_kernel(), ended_kernel(), FULL], ids=lambda r: r.phase)
def test_a_kernel_comes_back_as_it_was_stored(record: KernelRecord) -> None:
    stored: dict[str, Any] = bson.decode(bson.encode(record.to_document()), bson.CodecOptions(tz_aware=True))
    assert KernelRecord.from_document(stored) == record


def test_a_session_comes_back_as_it_was_stored() -> None:
    assert SessionRecord.from_document(session().to_document()) == session()


def test_a_replica_comes_back_as_it_was_stored() -> None:
    assert ReplicaRecord.from_document(replica().to_document()) == replica()


def test_a_replica_that_never_beat_comes_back_as_it_was_stored() -> None:
    assert ReplicaRecord.from_document(replica(beat_at=None).to_document()) == replica(beat_at=None)


@pytest.mark.parametrize("bad", ["", "a.b", "$a"])
def test_a_replica_id_that_can_not_name_a_field_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="replica's id"):
        replica(bad)


def test_the_stored_shape_of_a_kernel_is_the_designs() -> None:
    stored = FULL.to_document()
    assert stored["owner"] == {"replica": "r1"}
    assert stored["act"] == {"id": "act-1", "replica": "r1", "since": NOW}
    assert stored["provisioner"] == {"name": "gateway-local-provisioner", "info": b"sealed info"}
    assert stored["connections"] == {"r1": {"count": 2, "n": 7}, "r2": {"count": 0, "n": 1}}
    assert stored["clients"] == {"c1": {"replica": "r2", "n": 3}}
    assert stored["host"] == HOST.to_document()
    assert stored["request"]["key"] == "key-1"


def test_what_is_none_is_not_stored() -> None:
    stored = queued_kernel().to_document()
    absent = {"owner", "host", "process", "former", "connection", "user_slot", "slot", "reason", "ended_at"}
    assert absent.isdisjoint(stored)
    assert "key" not in stored["request"]
    assert "info" not in stored["provisioner"]


def test_fields_of_a_newer_replica_are_ignored() -> None:
    stored = {**running_kernel().to_document(), "novelty": {"a": 1}, "schema": 1}
    stored["request"] = {**stored["request"], "novelty": 1}
    assert KernelRecord.from_document(stored) == running_kernel()


def test_a_phase_of_a_newer_replica_is_read_and_live() -> None:
    record = KernelRecord.from_document({**running_kernel().to_document(), "phase": "hibernating"})
    assert record.phase == "hibernating"
    assert record.live


def test_a_kernel_of_a_version_that_counted_no_restarts_has_none() -> None:
    stored = running_kernel().to_document()
    del stored["restarts"]
    assert KernelRecord.from_document(stored).restarts == 0
    assert KernelNotice.from_document(stored).restarts == 0


def test_an_ended_kernel_is_not_live() -> None:
    assert not ended_kernel().live


def test_fields_that_an_end_unsets_read_as_empty() -> None:
    stored = running_kernel().to_document()
    for name in ("connections", "clients", "owner"):
        del stored[name]
    record = KernelRecord.from_document(stored)
    assert (dict(record.connections), dict(record.clients), record.owner) == ({}, {}, None)


@pytest.mark.parametrize("missing", ["phase", "request", "generation", "last_activity", "provisioner"])
def test_a_kernel_document_that_lacks_a_field_is_named_and_not_shown(missing: str) -> None:
    stored = running_kernel().to_document()
    del stored[missing]
    with pytest.raises(PersistenceError, match="'k1'") as caught:
        KernelRecord.from_document(stored)
    assert "sealed" not in str(caught.value)


@pytest.mark.parametrize("read", [KernelListing.from_document, KernelNotice.from_document, SessionRecord.from_document])
def test_an_empty_document_is_trouble(read: object) -> None:
    assert callable(read)
    with pytest.raises(PersistenceError):
        read({"_id": "x"})


def test_a_listing_needs_its_fields_only() -> None:
    stored = FULL.to_document()
    listing = KernelListing.from_document({name: stored[name] for name in KernelListing.FIELDS})
    assert (listing.kernel_id, listing.execution_state, listing.last_activity) == ("k1", "idle", NOW)
    assert connection_count(listing) == 2


def test_a_notice_needs_its_fields_only() -> None:
    stored = FULL.to_document()
    fields = {name.partition(".")[0] for name in KernelNotice.FIELDS}
    notice = KernelNotice.from_document({name: stored[name] for name in fields})
    assert (notice.owner, notice.act, notice.host, notice.live) == ("r1", FULL.act, HOST, True)
    assert notice.launch_timeout_seconds == FULL.launch_timeout_seconds


def test_connections_of_ignored_replicas_do_not_count() -> None:
    record = running_kernel(connections={r: ConnectionCount(count=c, n=1) for r, c in (("r1", 1), ("r2", 4))})
    assert connection_count(record) == 5
    assert connection_count(record, ignoring={"r2", "unknown"}) == 1


def test_secrets_are_in_no_repr() -> None:
    step = Step(
        name="store process", kernel_id="k1", where={"generation": 1}, update={"$set": {"connection": b"sealed"}}
    )
    for value in (FULL, FULL.request, step):
        assert "sealed" not in repr(value)


def test_a_time_is_stored_in_utc_and_whole_milliseconds() -> None:
    there = datetime(2026, 1, 1, 2, 0, 0, 1_999, tzinfo=timezone(timedelta(hours=2)))
    assert instant(there) == datetime(2026, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC)
    assert instant(there).tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant(NOW.replace(tzinfo=None))


@pytest.mark.parametrize(("microsecond", "stored"), [(0, 0), (1, 1_000), (1_000, 1_000), (999_001, 1_000_000)])
def test_activity_is_never_stored_earlier_than_it_was(microsecond: int, stored: int) -> None:
    second = datetime(2026, 1, 1, tzinfo=UTC)
    assert instant_rounded_up(second.replace(microsecond=microsecond)) == second + timedelta(microseconds=stored)


@pytest.mark.parametrize(
    "foreign",
    [{"n": 2**70}, {"a\0b": 1}, {"$set": {"a.b": 1}}, {"s": "\ud800"}, json.loads('{"a":' * 150 + "1" + "}" * 150)],
    ids=["big number", "NUL", "dollar", "surrogate", "deep"],
)
def test_what_a_kernel_tells_can_not_break_the_batch_that_stores_it(foreign: dict[str, object]) -> None:
    stored = bson.decode(bson.encode({"info": packed(foreign)}))["info"]
    assert unpacked(stored) == foreign


def test_a_mapping_that_was_stored_as_one_is_read_too() -> None:
    stored = {**running_kernel().to_document(), "kernel_info": {"status": "ok"}}
    assert KernelRecord.from_document(stored).kernel_info == {"status": "ok"}
