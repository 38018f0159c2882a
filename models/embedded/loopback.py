"""Free ports on 127.0.0.1, and keeping requests to it off any proxy."""

import itertools
import os
import socket
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final

HOST = "127.0.0.1"
BACKLOG = 512
UNPROXIED = ("127.0.0.1", "localhost")


_LOWEST: Final = 20_000
_OURS: Final = 64  # ports in a row for each process, so that two never think of the same ones
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _candidates() -> Iterator[int]:
    try:
        end = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        end = 32_768
    width = max(end - _LOWEST, 0)
    start = os.getpid() * _OURS
    return (_LOWEST + (start + step) % width for step in itertools.count()) if width else iter(())


_CANDIDATES: Final = _candidates()


def free_port() -> int:
    """A port nobody holds now, another on each call.

    It is none of those that the kernel hands out by itself, to any connection of anybody: minutes
    may pass before it is used. Whoever uses it must still cope with having lost it meanwhile.
    """
    for port in itertools.islice(_CANDIDATES, 1000):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if not _is_bound(probe, port):
                return port
    with reserved_port() as held:
        return port_of(held)


def _is_bound(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind((HOST, port))
    except OSError:
        return True
    return False


def reserved_port() -> socket.socket:
    """A port that is ours until the socket is closed; bound only, so nothing answers on it."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.bind((HOST, 0))
    return held


def listening_socket() -> socket.socket:
    """A socket for a child to accept on: no gap in which somebody else could take the port."""
    listening = socket.create_server((HOST, 0), backlog=BACKLOG)
    listening.set_inheritable(False)
    return listening


def port_of(bound: socket.socket) -> int:
    """The number of a bound socket."""
    return int(bound.getsockname()[1])


def is_listening(port: int) -> bool:
    """Somebody accepts there; who it is, this does not tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def bypass_proxies(environment: MutableMapping[str, str] = os.environ) -> None:
    """Without this, qdrant-client and aioboto3 hand loopback requests to HTTP_PROXY."""
    for name in ("NO_PROXY", "no_proxy"):
        listed = [entry for entry in environment.get(name, "").split(",") if entry]
        missing = [host for host in UNPROXIED if host not in listed]
        environment[name] = ",".join([*listed, *missing])
