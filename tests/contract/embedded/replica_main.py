"""A replica that does nothing but use a private mongod, as a process of its own.

`python -m tests.contract.embedded.replica_main DATA_DIR RUNTIME_DIR` says `{"uri": …}` once it may connect. SIGTERM
makes it leave cleanly. Its log goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from persistence.embedded import EmbeddedMongod


async def main(data_dir: str, runtime_dir: str) -> None:
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    mongod = EmbeddedMongod(Path(data_dir), Path(runtime_dir), logging.getLogger("replica"))
    print(json.dumps({"uri": await mongod.start()}), flush=True)
    await leave.wait()
    await mongod.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pymongo").setLevel(logging.WARNING)
    asyncio.run(main(*sys.argv[1:]))
