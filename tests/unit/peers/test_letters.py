from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from enterprise_gateway.peers.letters import ADMIT, GOOD_FOR, HAND_OVER, Ask, Letters, NotGenuine
from persistence.clock import DatabaseClock
from persistence.sealing import Sealer, generate_key

KEY = generate_key()
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ASK = Ask(purpose=HAND_OVER, kernel_id="k1", key="a-session", n=7, replica="r1", seconds=2.5)
KEPT = b"secret"


def letters(*, key: str = KEY, now: datetime = NOW) -> Letters:
    clock = DatabaseClock(now=lambda: 0.0)
    clock.observe(now, sent=0.0, received=0.0)
    sealer = Sealer([key])
    return Letters(sealer, lambda: sealer.key_ids, clock)


def test_an_ask_comes_as_it_was_sent_and_tells_nobody_else() -> None:
    sealed = letters().seal(ASK)
    assert letters().open("k1", sealed, HAND_OVER) == ASK
    assert "a-session" not in sealed
    assert sealed.isascii()
    assert not set(sealed) & set(" \r\n")


@pytest.mark.parametrize("skew", [GOOD_FOR + timedelta(seconds=1), -GOOD_FOR - timedelta(seconds=1)])
def test_an_ask_is_good_for_a_short_time_by_the_databases_clock(skew: timedelta) -> None:
    sealed = letters().seal(ASK)
    assert letters(now=NOW + skew / 2).open("k1", sealed, HAND_OVER) == ASK
    with pytest.raises(NotGenuine):
        letters(now=NOW + skew).open("k1", sealed, HAND_OVER)


def spoil_nothing_but_the_kernel() -> tuple[str, str]:
    return "k2", letters().seal(ASK)


def spoil_the_key() -> tuple[str, str]:
    return "k1", letters(key=generate_key()).seal(ASK)


def spoil_a_letter() -> tuple[str, str]:
    sealed = letters().seal(ASK)
    return "k1", sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]


def spoil_the_purpose() -> tuple[str, str]:
    return "k1", letters().seal(replace(ASK, purpose=ADMIT))


def spoil_the_origin() -> tuple[str, str]:
    # What the database holds of this kernel is sealed with the same keys.
    return "k1", Sealer([KEY]).seal("k1", {"key": "secret", "ports": [1]}).decode()


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_nothing_but_the_kernel,
        spoil_the_key,
        spoil_a_letter,
        spoil_the_purpose,
        spoil_the_origin,
        lambda: ("k1", ""),
        lambda: ("k1", "ü"),
    ],
    ids=["kernel", "key", "letter", "purpose", "origin", "empty", "no ascii"],
)
def test_what_is_no_ask_of_a_replica_about_this_kernel_is_refused(spoil: Callable[[], tuple[str, str]]) -> None:
    with pytest.raises(NotGenuine):
        letters().open(*spoil(), HAND_OVER)


def test_an_answer_comes_as_it_was_sent_and_tells_nobody_else() -> None:
    sealed = letters().seal_answer(ASK, KEPT)
    assert letters().open_answer(ASK, sealed) == KEPT
    assert b"secret" not in sealed


def test_an_answer_to_another_ask_is_refused() -> None:
    with pytest.raises(NotGenuine):
        letters().open_answer(replace(ASK, nonce=b"x" * 16), letters().seal_answer(ASK, KEPT))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", letters().seal(ASK).encode(), Sealer([KEY]).seal_bytes(b"short")],
    ids=["empty", "plain", "a letter", "too short"],  # the sealed ones differ from process to process
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(NotGenuine):
        letters().open_answer(ASK, data)


def test_an_answer_is_no_secret_of_a_record() -> None:
    with pytest.raises(NotGenuine):
        letters().open("k1", letters().seal_answer(ASK, KEPT).decode(), HAND_OVER)
