"""Who of several users is next."""

from __future__ import annotations

import pytest

from enterprise_gateway.kernels.fair_queue import FairQueue


def order(waiters: list[str], *, at_work: str = "") -> str:
    """Let all wait, then take them one by one, each at work from then on; users are letters."""
    queue = FairQueue[str]()
    for user in at_work:
        queue.began(user)
    for user in waiters:
        queue.put(user, user)
    taken = ""
    while (following := queue.next()) is not None:
        user, _ = following
        queue.began(user)
        taken += user
    return taken


@pytest.mark.parametrize(
    ("waiters", "at_work", "expected"),
    [
        ("aaaa", "", "aaaa"),
        ("aaab", "", "abaa"),
        ("aaabc", "", "abcaa"),
        ("aaab", "b", "abaa"),
        ("ba", "aa", "ba"),
        ("ab", "aa", "ba"),
        ("", "ab", ""),
    ],
)
def test_the_next_is_of_the_user_with_the_fewest_at_work(waiters: str, at_work: str, expected: str) -> None:
    assert order(list(waiters), at_work=at_work) == expected


def test_of_one_user_who_came_first_is_served_first() -> None:
    queue = FairQueue[int]()
    for number in range(4):
        queue.put("ada", number)
    queue.remove("ada", 2)
    queue.remove("ada", 2)
    queue.remove("bob", 7)
    assert [queue.next() for _ in range(4)] == [("ada", 0), ("ada", 1), ("ada", 3), None]


def test_of_users_with_as_many_at_work_the_one_served_longest_ago_is_next() -> None:
    queue = FairQueue[str]()
    for user in "abcabc":
        queue.put(user, user)
    taken = []
    while (following := queue.next()) is not None:
        taken.append(following[0])
    assert "".join(taken) == "abcabc"


@pytest.mark.parametrize(
    ("waiters", "at_work", "user", "ahead"),
    [
        ("", "", "a", 0),
        ("aaa", "", "a", 3),
        ("aaa", "", "b", 0),
        ("aaa", "bb", "b", 0),
        ("aaa", "aa", "b", 0),
        ("bbccc", "", "a", 0),
        ("abbccc", "", "a", 3),
    ],
)
def test_no_more_are_told_to_be_ahead_than_are_served_before(waiters: str, at_work: str, user: str, ahead: int) -> None:
    queue = FairQueue[str]()
    for other in at_work:
        queue.began(other)
    for other in waiters:
        queue.put(other, other)
    assert queue.ahead_of(user) == ahead
    queue.put(user, "new")
    before = 0
    while (following := queue.next()) is not None and following[1] != "new":
        queue.began(following[0])
        before += 1
    assert before >= ahead


def test_new_users_again_and_again_starve_nobody() -> None:
    queue = FairQueue[str]()
    for user in ("ann", "bob", "ann", "bob"):
        queue.put(user, user)
    served = []
    for number in range(8):
        queue.put(f"new {number}", "new")
        following = queue.next()
        assert following is not None
        served.append(following[0])
    assert served.count("ann") == served.count("bob") == 2
