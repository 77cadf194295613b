"""A name server of one's own with the records that `mongodb+srv://` is looked up by, and a process that asks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Records = Mapping[tuple[str, str], str]
"""What it knows: by name (without the last dot) and type, the record as zone files write it."""

# Taken by Python as it starts, from PYTHONPATH: the resolver's file of a machine can't be another for one process.
_SITE = """
import dns.asyncresolver, dns.resolver

def asks_port(resolver):
    resolver.nameservers, resolver.port = ["127.0.0.1"], {port}
    return resolver

dns.resolver.default_resolver = asks_port(dns.resolver.Resolver(configure=False))
dns.asyncresolver.default_resolver = asks_port(dns.asyncresolver.Resolver(configure=False))
dns.resolver.override_system_resolver()
"""


@contextmanager
def name_server(records: Records) -> Iterator[int]:
    """Answer for these records over UDP, and for no others; yields the port on 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        serving = threading.Thread(target=_serve, args=(listener, records))
        serving.start()
        try:
            yield port
        finally:
            listener.sendto(b"", ("127.0.0.1", port))
            serving.join()


def _serve(listener: socket.socket, records: Records) -> None:
    while True:
        query, sender = listener.recvfrom(4096)
        if not query:
            return
        listener.sendto(_answer(dns.message.from_wire(query), records).to_wire(), sender)


def _answer(query: dns.message.Message, records: Records) -> dns.message.Message:
    asked = query.question[0]
    name, kind = asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA
    if (name, kind) in records:
        answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, records[name, kind]))
    elif not any(known == name for known, _ in records):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer


def site_that_asks(port: int, folder: Path) -> str:
    """Make a folder that, as PYTHONPATH of a Python process, has it look up all names at this port."""
    (folder / "sitecustomize.py").write_text(_SITE.format(port=port))
    return str(folder)
