"""A tiny HTTP server that answers as a test says: the stores that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "e"\r\n\r\n'


@dataclass
class Asked:
    """What came, as `METHOD /path`, and the headers that came with the last."""

    lines: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[str, Asked], bytes]


def refused(status: int, code: str) -> bytes:
    """Return an S3 error."""
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[tuple[str, Asked]]:
    """Yield the server's URL and what it was asked; an empty answer closes the connection."""
    asked = Asked()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line = await _read_request(reader, writer, asked)
                sent = answer(line, asked)
                if line.startswith("HEAD"):
                    sent = sent.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                writer.write(sent)
                await writer.drain()
                if not sent or b"Connection: close" in sent:
                    break
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}", asked


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked
) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    if "expect" in headers:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await reader.readexactly(int(headers.get("content-length", 0)))
    asked.headers = headers
    asked.lines.append(first.rpartition(" ")[0])
    return asked.lines[-1]
