"""Where the sealing keys come from when none was set: kept beside a private database, refused on a shared one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from persistence.driver.address import MOCK, scheme
from persistence.errors import ConfigurationError
from persistence.sealing import generate_key

COMMAND = 'python3 -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
"""Makes a key, on any machine that has this gateway."""

FILE_NAME = "sealing.key"
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


async def find(configured: Sequence[str], *, uri: str, data_dir: Path) -> list[str]:
    """Give the keys to seal with.

    Args:
        configured: Those that were set; they are taken, whatever the database is.
        uri: The database's; empty: the private one.
        data_dir: Of the private database.

    Raises:
        ConfigurationError: A shared database has no key, or the kept one can't be read.
    """
    if configured:
        return list(configured)
    if scheme(uri) == MOCK:
        return [generate_key()]
    if uri:
        raise ConfigurationError(
            "a database that replicas share needs a sealing key, the same on all of them: "
            f"make one with `{COMMAND}` and set EG_SEALING_KEYS"
        )
    return [await asyncio.to_thread(kept_key, data_dir / FILE_NAME)]


def kept_key(path: Path) -> str:
    """Read the key that is kept at `path`, or make one there, for this user alone; by many at once, the same for all.

    Raises:
        ConfigurationError: The file or its directory can't be used.
    """
    try:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"the sealing key at {path} can't be read or made: {error}") from error


def _make(path: Path) -> None:
    # Written whole beside it, then linked: nobody reads half a key, and of many that make one only the first is kept.
    draft = path.with_name(f"{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{generate_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
