from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from enterprise_gateway.config.settings import GatewayTraits
from enterprise_gateway.config.tls import server_context
from persistence.errors import ConfigurationError
from tests.certificates import self_signed


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate, its key, and another key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = self_signed()
    contents = {"certfile": certificate, "keyfile": key, "other": self_signed()[1]}
    paths = {label: folder / f"{label}.pem" for label in contents}
    for label, path in paths.items():
        path.write_bytes(contents[label])
    return {label: str(path) for label, path in paths.items()}


def context(**settings: Any) -> ssl.SSLContext:
    made = server_context(GatewayTraits(**settings))
    assert made is not None
    return made


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_context(GatewayTraits()) is None


def test_tls_before_1_2_is_not_spoken(files: dict[str, str]) -> None:
    made = context(certfile=files["certfile"], keyfile=files["keyfile"])

    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    assert made.verify_mode == ssl.CERT_NONE


def test_a_client_authority_makes_certificates_compulsory(files: dict[str, str]) -> None:
    made = context(certfile=files["certfile"], keyfile=files["keyfile"], client_ca=files["certfile"])

    assert made.verify_mode == ssl.CERT_REQUIRED


def test_one_file_may_hold_certificate_and_key(files: dict[str, str], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(files["certfile"]).read_text() + Path(files["keyfile"]).read_text())

    assert context(certfile=str(both)).minimum_version == ssl.TLSVersion.TLSv1_2


def test_eg_s_number_for_tls_1_2_allows_that_alone(files: dict[str, str]) -> None:
    made = context(certfile=files["certfile"], keyfile=files["keyfile"], ssl_version=int(ssl.PROTOCOL_TLSv1_2))

    assert made.maximum_version == ssl.TLSVersion.TLSv1_2


def test_an_old_protocol_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"older than TLS 1\.2"):
        context(certfile=files["certfile"], keyfile=files["keyfile"], ssl_version=3)


def test_a_key_that_does_not_fit_is_named(files: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=files["other"]):
        context(certfile=files["certfile"], keyfile=files["other"])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match="/is/not/there"):
        context(certfile="/is/not/there")
