"""The record that an act begins with, inserted while the database comes and goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from culling.membership import Membership, MembershipTimings
from enterprise_gateway.kernels import acts as acts_module
from enterprise_gateway.kernels.acts import Acts
from persistence import clock
from persistence.errors import DuplicateKey, StoreAway, StoreUnavailable
from persistence.kernel_session_manager import KernelSessionManager
from persistence.steps import claim_stop
from persistence.testing import away, mock_store
from tests.cluster.waiting import PATIENCE_SECONDS, eventually
from tests.records import HOST, queued_kernel

LOG = logging.getLogger(__name__)
NOW = clock.Deadline(0)


@pytest.fixture
async def store() -> AsyncIterator[KernelSessionManager]:
    async with mock_store() as store:
        yield store


@pytest.fixture
def acts(store: KernelSessionManager) -> Acts:
    timings = MembershipTimings()
    membership = Membership(store, url="http://a", host=HOST, version="1", timings=timings, log=LOG)
    return Acts(store, membership, LOG)


async def test_known_away_it_is_refused_at_once(store: KernelSessionManager, acts: Acts) -> None:
    with away(store.database):
        with pytest.raises(StoreUnavailable):
            await store.kernels.get("k1")
        with pytest.raises(StoreAway):
            acts.insert(queued_kernel(), give_up=clock.Deadline(PATIENCE_SECONDS)).send(None)


async def test_what_is_unknown_is_asked_until_it_is_given_up(store: KernelSessionManager, acts: Acts) -> None:
    with away(store.database), pytest.raises(StoreUnavailable):
        await acts.insert(queued_kernel(), give_up=NOW)


async def in_doubt(store: KernelSessionManager, acts: Acts) -> asyncio.Task[None]:
    """Begin an insert that never arrives; return when it is in doubt, and the database is back."""
    doubt = asyncio.Event()
    with away(store.database):
        give_up = clock.Deadline(PATIENCE_SECONDS)
        insert = asyncio.ensure_future(acts.insert(queued_kernel(), give_up=give_up, doubt=doubt))
        await doubt.wait()
        assert not insert.done()
    await eventually(lambda: store.available, "the database is back")
    return insert


async def test_what_is_in_doubt_is_not_sent_again(
    store: KernelSessionManager, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts_module, "LATE_SECONDS", 0.0)
    with pytest.raises(StoreUnavailable, match="not sent again"):
        await (await in_doubt(store, acts))
    assert await store.kernels.get("k1") is None


async def test_what_is_in_doubt_counts_where_it_was_made_after_all(store: KernelSessionManager, acts: Acts) -> None:
    insert = await in_doubt(store, acts)
    await store.kernels.insert(queued_kernel())
    await insert


async def test_a_claim_of_which_nothing_was_sent_is_refused_at_once(store: KernelSessionManager, acts: Acts) -> None:
    act = acts.new_act()
    with away(store.database):
        with pytest.raises(StoreUnavailable):
            await store.kernels.get("k1")
        claim = acts.claim(claim_stop("k1", 1, act=act), act, give_up=NOW, doubt=asyncio.Event())
        with pytest.raises(StoreAway):
            claim.send(None)


async def test_what_is_known_is_not_in_doubt(store: KernelSessionManager, acts: Acts) -> None:
    doubt = asyncio.Event()
    await acts.insert(queued_kernel(), give_up=clock.Deadline(PATIENCE_SECONDS), doubt=doubt)
    assert not doubt.is_set()


async def test_an_insert_of_ones_own_that_was_made_before_is_no_conflict(
    store: KernelSessionManager, acts: Acts
) -> None:
    await store.kernels.insert(queued_kernel())
    await acts.insert(queued_kernel(), give_up=NOW)


async def test_anothers_kernel_of_that_id_is_a_conflict(store: KernelSessionManager, acts: Acts) -> None:
    await store.kernels.insert(queued_kernel(act=None))
    with pytest.raises(DuplicateKey):
        await acts.insert(queued_kernel(), give_up=NOW)
