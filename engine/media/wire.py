"""Messages between a decoder's process and its parent: a JSON object and some byte strings.

length of the head as 4 bytes, big-endian
head: JSON {"head": {...}, "sizes": [bytes of each string]}
the strings

Never pickled: a decoder that a file has taken over can say what it wants, and runs nothing here.
"""

import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson

_LENGTH: Final = struct.Struct(">I")
_HEAD_BYTES: Final = 64 * 1024 * 1024
_PART_BYTES: Final = 1024 * 1024 * 1024
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """One message."""

    head: dict[str, Any]
    blobs: list[bytes]


class Closed(Exception):
    """The other side has gone, or does not keep to the form."""


def send(connection: socket.socket, head: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message."""
    for piece in pack(head, blobs):
        connection.sendall(piece)


def receive(connection: socket.socket) -> Part:
    """Read one message.

    Raises:
        Closed: there is none, or it is not one.
    """
    return unpack(partial(_exactly, connection))


def pack(head: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield the bytes of one message."""
    body = orjson.dumps({"head": head, "sizes": [len(blob) for blob in blobs]})
    yield _LENGTH.pack(len(body)) + body
    yield from blobs


def unpack(exactly: Callable[[int], bytes | bytearray]) -> Part:
    """Read one message from what returns so many bytes.

    Raises:
        Closed: it is not one.
    """
    (length,) = _LENGTH.unpack(exactly(_LENGTH.size))
    if length > _HEAD_BYTES:
        raise Closed("a head that is too long")
    try:
        body = orjson.loads(exactly(length))
        head, sizes = body["head"], [int(size) for size in body["sizes"]]
    except (ValueError, TypeError, KeyError) as error:
        raise Closed("a head that cannot be read") from error
    if not isinstance(head, dict) or min(sizes, default=0) < 0 or sum(sizes) > _PART_BYTES:
        raise Closed("a head that cannot be true")
    return Part(head, [bytes(exactly(size)) for size in sizes])


def _exactly(connection: socket.socket, size: int) -> bytearray:
    found = bytearray()
    while len(found) < size:
        chunk = connection.recv(min(size - len(found), _CHUNK))
        if not chunk:
            raise Closed("the connection ended")
        found += chunk
    return found
