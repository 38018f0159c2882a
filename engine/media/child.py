"""The process of a decoder: takes its limits upon itself, then decodes what it is handed.

Its socket is its standard input. It ends with its parent, and by itself when a file takes too long.
"""

import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from engine.media.errors import DecodeFailed, too_much
from engine.media.wire import Closed, Part, receive, send

_MIB: Final = 1024 * 1024
_NEW_USER: Final = 0x10000000  # CLONE_NEWUSER
_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET
Decode = Callable[[Mapping[str, Any], bytes], Iterator[Part]]


def main() -> None:
    """Serve until the parent is gone."""
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    limits = orjson.loads(sys.argv[2])
    network = _leave_network()
    decode: Decode = importlib.import_module(sys.argv[1]).decode
    _limit(limits)
    send(connection, {"ready": True, "network": network})
    while True:
        try:
            request = receive(connection)
        except (Closed, OSError):
            return
        _start_clock(limits["seconds"])
        _serve(connection, decode, request, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _serve(
    connection: socket.socket, decode: Decode, request: Part, limits: Mapping[str, Any]
) -> None:
    try:
        for part in decode(request.head, request.blobs[0]):
            send(connection, {"part": part.head}, part.blobs)
    except DecodeFailed as failure:
        _refuse(connection, failure)
    except MemoryError:
        _refuse(
            connection,
            too_much(
                f"Decoding needs more than {limits['memory_mb']} MiB.",
                hint="Make the file smaller, or leave it out of the batch.",
            ),
        )
    except Exception as error:  # libraries raise whatever they like at a damaged file
        message = f"It cannot be decoded: {type(error).__name__}: {error}"[:500]
        send(connection, {"error": _printable(message), "category": "VALIDATION"})
    else:
        send(connection, {"end": True})


def _refuse(connection: socket.socket, failure: DecodeFailed) -> None:
    said = {"error": _printable(failure.message), "category": str(failure.category)}
    send(connection, {**said, "hint": failure.hint})


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _limit(limits: Mapping[str, Any]) -> None:
    memory = int(limits["memory_mb"]) * _MIB
    files = int(limits["files"])
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_FSIZE, 0),  # no file of its own
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _start_clock(seconds: float) -> None:
    """End this process by a signal when one file takes too long, parent or not."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _leave_network() -> bool:
    """Move into a network of our own that leads nowhere; False where the system forbids it."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "unshare"):  # not Linux
        return False
    return any(library.unshare(how) == 0 for how in (_NEW_NETWORK, _NEW_USER | _NEW_NETWORK))


if __name__ == "__main__":
    main()
