"""A decoder that does whatever a file could make one do."""

import ctypes
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.media.errors import unreadable
from engine.media.wire import Part

Request = Mapping[str, Any]


def decode(request: Request, data: bytes) -> Iterator[Part]:
    """Do what the file says."""
    yield from DOES[data.decode()](request)


def _part(**head: Any) -> list[Part]:
    return [Part(head, [])]


def _pid(_: Request) -> list[Part]:
    return [Part({"pid": os.getpid()}, [b"one", b"", b"three"])]


def _refuse(_: Request) -> list[Part]:
    raise unreadable("Not this one.", hint="Take another.")


def _raise(_: Request) -> Iterator[Part]:
    yield from _part(page=1)
    raise ValueError("broken \udcff table")


def _spin(_: Request) -> list[Part]:
    while True:
        pass


def _endless(_: Request) -> Iterator[Part]:
    while True:
        yield from _part()
        time.sleep(0.01)


def _files(_: Request) -> list[Part]:
    return _part(files=[os.open(os.devnull, os.O_RDONLY) for _ in range(100)])


def _write(request: Request) -> list[Part]:
    return _part(written=Path(request["path"]).write_text("x"))


def _connect(request: Request) -> list[Part]:
    with socket.create_connection(("127.0.0.1", request["port"]), 1):
        return _part(connected=True)


def _garbage(_: Request) -> list[Part]:
    """Write over our own end of the socket, wherever it is."""
    for descriptor in range(3, 16):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    time.sleep(60)
    return []


DOES: dict[str, Callable[[Request], Iterator[Part] | list[Part]]] = {
    "fine": lambda _: _part(echo="fine"),
    "pid": _pid,
    "refuse": _refuse,
    "raise": _raise,
    "allocate": lambda _: _part(size=len(bytearray(1 << 30))),
    "segfault": lambda _: _part(found=ctypes.string_at(0)),
    "exit": lambda _: os._exit(3),
    "spin": _spin,
    "silent": lambda _: _part(slept=time.sleep(60)),  # type: ignore[func-returns-value]
    "endless": _endless,
    "files": _files,
    "write": _write,
    "connect": _connect,
    "environment": lambda _: _part(names=sorted(os.environ), arguments=sys.argv[2:]),
    "garbage": _garbage,
}
