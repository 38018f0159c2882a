"""A load on an HTTP server: some connections that ask again as soon as they are answered.

Plain sockets and no parsing beyond a length: a client library would cost more than the server.
"""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """One request, and how it is asked."""

    url: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    connections: int = 8
    method: str = ""  # by whether there is a body
    length: int | None = None  # as declared; that of the body

    def request(self) -> bytes:
        """Return the bytes of one request."""
        parts = urlsplit(self.url)
        length = len(self.body) if self.length is None else self.length
        fields = [("host", parts.netloc), ("content-length", str(length)), *self.headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        method = self.method or ("POST" if self.body else "GET")
        return f"{method} {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body

    async def rate(self, seconds: float) -> float:
        """Return requests a second; raises RuntimeError on an answer that is no 200."""
        until = time.perf_counter() + seconds
        counts = await asyncio.gather(*(self._ask(until) for _ in range(self.connections)))
        return sum(counts) / seconds

    async def once(self) -> bytes:
        """Return the body of one answer."""
        reader, writer = await self._open()
        try:
            writer.write(self.request())
            return await _answer(reader)
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def _ask(self, until: float) -> int:
        reader, writer = await self._open()
        request, done = self.request(), 0
        try:
            while time.perf_counter() < until:
                writer.write(request)
                await _answer(reader)
                done += 1
        finally:
            writer.close()
        return done


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return await reader.readexactly(int(value))
    raise RuntimeError("an answer without a length")
