"""A server that does nothing but answer: what any server on this machine can be held to while kernels start.

Run by its path, with the port to listen on.
"""

from __future__ import annotations

import asyncio
import sys

from tornado.web import Application, RequestHandler


class Nothing(RequestHandler):
    """Answers at once."""

    def get(self) -> None:
        """Return what is always the same."""
        self.write({"kernelspecs": {}})


async def serve(port: int) -> None:
    """Answer until the process is killed."""
    Application([(".*", Nothing)], log_function=lambda handler: None).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
