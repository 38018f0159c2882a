"""The sockets that the API accepts on.

`strata up` binds them before anything starts and keeps them for the API: a busy port is known at
once, and while the API restarts its callers wait in the queue instead of being refused.
"""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack

from models.embedded.loopback import HOST
from models.errors import Misconfigured

BACKLOG = 2048
EVERYWHERE = ("0.0.0.0", "::")


class PortInUse(Misconfigured):
    """Somebody else serves there."""

    code = "PORT_IN_USE"


def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on an address, and always on loopback too, where our own commands look.

    Raises:
        PortInUse: the port is taken.
        Misconfigured: the address is not one of this machine's.
    """
    hosts = [HOST] if host == "localhost" else list(dict.fromkeys([HOST, host]))
    with ExitStack() as opened:
        bound: list[socket.socket] = []
        for one in [host] if host in EVERYWHERE else hosts:
            bound.append(
                opened.enter_context(_bound(one, bound[0].getsockname()[1] if bound else port))
            )
        opened.pop_all()
    return bound


def adopt_sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    """Take over sockets that a parent bound."""
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    everywhere = host == "::"
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=everywhere
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host} is taken.",
                hint="Stop the program that holds it, or choose another port with --port.",
            ) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Misconfigured(
            f"Cannot listen on {host}:{port}: {reason}.", hint="Choose another --host or --port."
        ) from error
