from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode

import pytest

from persistence.errors import ConfigurationError, PersistenceError, SealingKeyMissing
from persistence.sealing import Sealer, generate_key

SECRET = {"key": "0e5c", "ports": [1, 2], "text": "ü \ud800"}
OLD, NEW = generate_key(), generate_key()


def only(key: str) -> Sealer:
    return Sealer([key])


def test_what_was_sealed_comes_back() -> None:
    assert only(NEW).unseal("k1", only(NEW).seal("k1", SECRET)) == SECRET


def test_the_sealed_form_tells_nothing_and_is_never_the_same() -> None:
    kernel_id, key = "a-kernel-of-ada", "a-key-that-signs"
    # Long: two letters are found in any sealed text now and then.
    first, second = (only(NEW).seal(kernel_id, {"key": key}) for _ in range(2))
    assert first != second
    for told in (kernel_id, key):
        assert told.encode() not in first
        assert told.encode() not in urlsafe_b64decode(first)


def test_a_secret_can_not_be_pasted_into_another_kernels_record() -> None:
    with pytest.raises(PersistenceError, match="another kernel"):
        only(NEW).unseal("k2", only(NEW).seal("k1", SECRET))


def test_the_first_key_seals() -> None:
    assert only(NEW).unseal("k1", Sealer([NEW, OLD]).seal("k1", SECRET)) == SECRET


def test_any_key_unseals() -> None:
    assert Sealer([NEW, OLD]).unseal("k1", only(OLD).seal("k1", SECRET)) == SECRET


def test_the_first_key_that_all_have_seals() -> None:
    blob = Sealer([NEW, OLD]).seal("k1", SECRET, usable_key_ids=only(OLD).key_ids)
    assert only(OLD).unseal("k1", blob) == SECRET


@pytest.mark.parametrize("usable", [(), ("000000000000",)])
def test_without_a_key_that_all_have_nothing_is_sealed(usable: tuple[str, ...]) -> None:
    with pytest.raises(SealingKeyMissing):
        only(NEW).seal("k1", SECRET, usable_key_ids=usable)


def test_without_the_key_nothing_is_unsealed() -> None:
    with pytest.raises(SealingKeyMissing, match="k1"):
        only(NEW).unseal("k1", only(OLD).seal("k1", SECRET))


def test_a_changed_byte_is_seen() -> None:
    blob = bytearray(only(NEW).seal("k1", SECRET))
    blob[20] ^= 1
    with pytest.raises(SealingKeyMissing):
        only(NEW).unseal("k1", bytes(blob))


def test_keys_are_named_by_a_digest_in_their_order() -> None:
    digests = [hashlib.sha256(urlsafe_b64decode(key)).hexdigest()[:12] for key in (NEW, OLD)]
    assert Sealer([NEW, OLD]).key_ids == tuple(digests)


def test_a_line_break_from_a_file_is_no_part_of_a_key() -> None:
    assert only(NEW + "\n").key_ids == only(NEW).key_ids


@pytest.mark.parametrize("bad", ["", "short", "é" * 44, NEW[:-2]], ids=["empty", "short", "accents", "cut"])
def test_a_bad_key_is_named_by_its_place_and_not_shown(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="number 2") as caught:
        Sealer([NEW, bad])
    assert not bad or bad not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_sealer_without_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sealing_keys"):
        Sealer([])


def test_no_key_is_in_the_repr() -> None:
    assert NEW not in repr(only(NEW))
    assert only(NEW).key_ids[0] in repr(only(NEW))
