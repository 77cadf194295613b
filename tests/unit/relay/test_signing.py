from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from enterprise_gateway.relay.signing import Signer

parts = st.lists(st.binary(max_size=30), min_size=4, max_size=6)


@given(st.binary(min_size=1), parts, st.sampled_from(["hmac-sha256", "hmac-sha512", "hmac-md5"]))
def test_it_signs_as_jupyter_client_does(key: bytes, message: list[bytes], scheme: str) -> None:
    session = Session(key=key, signature_scheme=scheme)
    assert Signer(key, scheme).sign(message) == session.sign(message[:4])


def test_without_a_key_nothing_is_signed() -> None:
    assert Signer(b"").sign([b"1", b"2", b"3", b"4"]) == b""


def test_buffers_are_not_signed() -> None:
    signer = Signer(b"key")
    assert signer.sign([b"1", b"2", b"3", b"4", b"buffer"]) == signer.sign([b"1", b"2", b"3", b"4"])


def test_a_signature_of_another_key_does_not_fit() -> None:
    message = [b"1", b"2", b"3", b"4"]
    assert Signer(b"key").fits(Signer(b"key").sign(message), message)
    assert not Signer(b"key").fits(Signer(b"other").sign(message), message)


@pytest.mark.parametrize("key", ["text", b"text"])
def test_a_connection_names_key_and_scheme(key: Any) -> None:
    connection = {"key": key, "signature_scheme": "hmac-sha1"}
    assert Signer.of(connection).sign([b""] * 4) == Signer(b"text", "hmac-sha1").sign([b""] * 4)


@pytest.mark.parametrize("scheme", ["", "sha256", "hmac-", "hmac-nothing", "rsa-sha256"])
def test_an_unknown_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(ValueError):
        Signer(b"key", scheme)
