from __future__ import annotations

from persistence.clients import KEPT, next_claim
from persistence.documents import ClientHold


def hold(n: int, replica: str = "r1") -> ClientHold:
    return ClientHold(replica=replica, n=n)


def test_the_first_connection_has_no_former_one() -> None:
    claim = next_claim({}, "s", "r1")
    assert (claim.n, claim.former, claim.forgotten) == (1, None, ())


def test_the_next_connection_knows_the_former_one_and_has_a_higher_number() -> None:
    claim = next_claim({"s": hold(4, "r9")}, "s", "r1")
    assert (claim.n, claim.former) == (5, hold(4, "r9"))


def test_its_number_is_above_those_of_all_sessions() -> None:
    assert next_claim({"s": hold(4), "t": hold(9)}, "s", "r1").n == 10


def test_the_oldest_sessions_make_room_but_never_ones_own() -> None:
    clients = {f"s{n}": hold(n) for n in range(1, KEPT + 1)}
    assert next_claim(clients, "new", "r1").forgotten == ("s1",)
    assert next_claim(clients, "s1", "r1").forgotten == ()
