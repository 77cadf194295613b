from __future__ import annotations

from dataclasses import replace

import pytest

from persistence.driver import Database
from persistence.errors import DuplicateKey, StaleWrite
from persistence.sessions import SessionStore
from tests.records import session


async def test_an_inserted_session_is_found_by_id_and_by_what_it_is(sessions: SessionStore) -> None:
    await sessions.insert(session())
    assert await sessions.get("s1") == session()
    assert await sessions.get_surely("s1") == session()
    assert await sessions.find("ann", "a.ipynb", "notebook") == session()


async def test_an_unknown_session_is_none(sessions: SessionStore) -> None:
    assert await sessions.get("s1") is None
    assert await sessions.get_surely("s1") is None
    assert await sessions.find("ann", "a.ipynb", "notebook") is None


async def test_of_two_sessions_of_one_user_path_and_type_the_second_is_refused(sessions: SessionStore) -> None:
    await sessions.insert(session("s1"))
    with pytest.raises(DuplicateKey) as caught:
        await sessions.insert(session("s2", name="other", kernel_id="k2"))
    assert caught.value.index == "user_path_type"
    assert await sessions.list_all() == [session("s1")]


async def test_another_users_another_paths_and_another_types_session_is_another(sessions: SessionStore) -> None:
    others = [session("s2", username="bob"), session("s3", path="b.ipynb"), session("s4", type="console")]
    for record in (session("s1"), *others):
        await sessions.insert(record)
    assert len(await sessions.list_all()) == 4


async def test_a_taken_id_is_refused(sessions: SessionStore) -> None:
    await sessions.insert(session())
    with pytest.raises(DuplicateKey) as caught:
        await sessions.insert(session(path="b.ipynb"))
    assert caught.value.index == "_id_"


async def test_a_change_changes_what_it_names_and_gives_the_session_after_it(sessions: SessionStore) -> None:
    await sessions.insert(session())
    after = await sessions.update("s1", {"path": "b.ipynb", "name": "b"})
    assert after == replace(session(), path="b.ipynb", name="b")
    assert await sessions.get("s1") == after


async def test_a_change_leaves_a_newer_replicas_field(sessions: SessionStore, database: Database) -> None:
    await database.collection("sessions").insert({**session().to_document(), "novelty": 1})
    await sessions.update("s1", {"name": "b"})
    stored = await database.collection("sessions").find_one({"_id": "s1"})
    assert stored is not None
    assert stored["novelty"] == 1


async def test_a_session_can_not_move_onto_another(sessions: SessionStore) -> None:
    await sessions.insert(session("s1"))
    await sessions.insert(session("s2", path="b.ipynb"))
    with pytest.raises(DuplicateKey) as caught:
        await sessions.update("s2", {"path": "a.ipynb"})
    assert caught.value.index == "user_path_type"


async def test_a_change_of_a_session_that_is_gone_is_stale(sessions: SessionStore) -> None:
    with pytest.raises(StaleWrite):
        await sessions.update("s1", {"name": "b"})


async def test_of_two_who_replace_a_dead_kernel_one_wins(sessions: SessionStore) -> None:
    await sessions.insert(session(kernel_id="dead"))
    await sessions.update("s1", {"kernel_id": "mine"}, while_kernel="dead")
    with pytest.raises(StaleWrite):
        await sessions.update("s1", {"kernel_id": "other"}, while_kernel="dead")
    after = await sessions.get("s1")
    assert after is not None
    assert after.kernel_id == "mine"


@pytest.mark.parametrize("changes", [{}, {"_id": "s2"}, {"username": "bob"}, {"name": "b", "schema": "9"}])
async def test_what_must_not_change_can_not_be_changed(sessions: SessionStore, changes: dict[str, str]) -> None:
    await sessions.insert(session())
    with pytest.raises(ValueError, match="kernel_id"):
        await sessions.update("s1", changes)


async def test_a_session_is_deleted_once(sessions: SessionStore) -> None:
    await sessions.insert(session())
    assert await sessions.delete("s1")
    assert not await sessions.delete("s1")
    assert await sessions.get("s1") is None


async def test_a_session_that_has_another_kernel_by_now_is_not_deleted(sessions: SessionStore) -> None:
    await sessions.insert(session(kernel_id="k2"))
    assert not await sessions.delete("s1", while_kernel="k1")
    assert await sessions.delete("s1", while_kernel="k2")


async def test_with_a_kernel_go_its_sessions_and_no_others(sessions: SessionStore) -> None:
    for record in (session("s1"), session("s2", path="b.ipynb"), session("s3", path="c.ipynb", kernel_id="k2")):
        await sessions.insert(record)
    assert await sessions.delete_for_kernel("k1") == 2
    assert [left.session_id for left in await sessions.list_all()] == ["s3"]
