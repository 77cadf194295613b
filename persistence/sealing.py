"""Encrypts and decrypts the secrets of a kernel's record.

Guaranteed: who has the database and no key learns nothing, and can neither change a sealed value unseen nor put one
kernel's into another's record, for the plaintext names its kernel. Not guaranteed: that a value is the newest one; an
old value of the same kernel can be put back.

Keys rotate: a replica seals with its first key that all live replicas have, and unseals with any. Neither keys nor
plaintexts are ever in a repr, an error or a log.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from persistence.errors import ConfigurationError, PersistenceError, SealingKeyMissing

_KEY_ID_DIGITS = 12
_SENT = b"\0sent\0"  # JSON, which a record's secret is, begins otherwise


def generate_key() -> str:
    """Make a new key: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode("ascii")


class Sealer:
    """Seals and unseals with a set of keys.

    Args:
        keys: As `generate_key` makes them, the preferred one first.

    Raises:
        ConfigurationError: There is none, or one is not a key. It is named by its place, never shown.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError("there is no sealing key: set sealing_keys to at least one")
        self._fernets = dict(_read(key, place) for place, key in enumerate(keys, start=1))
        self._any = MultiFernet(list(self._fernets.values()))

    def __repr__(self) -> str:
        return f"Sealer(key_ids={self.key_ids!r})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Name the keys without telling them: 12 hex digits of each one's SHA-256, in their order."""
        return tuple(self._fernets)

    def seal(self, kernel_id: str, value: Mapping[str, Any], usable_key_ids: Collection[str] | None = None) -> bytes:
        """Encrypt a JSON-able mapping for one kernel.

        Args:
            kernel_id: The kernel whose record will hold it.
            value: What to keep secret.
            usable_key_ids: The keys that all live replicas have; None allows every key.

        Raises:
            SealingKeyMissing: None of the keys is usable: what it sealed, another replica could not read.
        """
        fernet = self._sealing_fernet(usable_key_ids)
        return fernet.encrypt(json.dumps({"kernel": kernel_id, "value": dict(value)}).encode())

    def unseal(self, kernel_id: str, blob: bytes) -> dict[str, Any]:
        """Decrypt what was sealed for this kernel.

        Raises:
            SealingKeyMissing: No key fits (or the value was tampered with: the two look alike).
            PersistenceError: It was sealed for another kernel.
        """
        try:
            plaintext = json.loads(self._any.decrypt(blob))
        except InvalidToken as error:
            raise SealingKeyMissing(f"no sealing key of this replica fits a secret of kernel {kernel_id}") from error
        if plaintext["kernel"] != kernel_id:
            raise PersistenceError(f"a secret in the record of kernel {kernel_id} was sealed for another kernel")
        value: dict[str, Any] = plaintext["value"]
        return value

    def seal_bytes(self, data: bytes, usable_key_ids: Collection[str] | None = None) -> bytes:
        """Encrypt what one replica sends another, and stores nowhere. No record's secret can pass for it: see `unseal`.

        Raises:
            SealingKeyMissing: None of the keys is usable.
        """
        return self._sealing_fernet(usable_key_ids).encrypt(_SENT + data)

    def unseal_bytes(self, blob: bytes) -> bytes:
        """Decrypt what `seal_bytes` encrypted.

        Raises:
            SealingKeyMissing: No key fits, or it was tampered with.
            PersistenceError: It is something else that was sealed.
        """
        try:
            data = self._any.decrypt(blob)
        except InvalidToken as error:
            raise SealingKeyMissing("no sealing key of this replica fits what another one sent") from error
        if not data.startswith(_SENT):
            raise PersistenceError("what another replica sent was sealed for something else")
        return data[len(_SENT) :]

    def _sealing_fernet(self, usable_key_ids: Collection[str] | None) -> Fernet:
        for key_id, fernet in self._fernets.items():
            if usable_key_ids is None or key_id in usable_key_ids:
                return fernet
        raise SealingKeyMissing("no sealing key of this replica is known to all live replicas")


def _read(key: str, place: int) -> tuple[str, Fernet]:
    try:
        fernet = Fernet(key.strip())
        digest = hashlib.sha256(base64.urlsafe_b64decode(key.strip())).hexdigest()
    except ValueError:
        # Not chained: the cause could quote the key.
        raise ConfigurationError(
            f"sealing key number {place} is not a key: it must be 32 bytes in URL-safe base64"
        ) from None
    return digest[:_KEY_ID_DIGITS], fernet
