"""The one client for addresses that users give: webhooks, and objects that lie elsewhere.

A name is resolved once for each connection, every answer is judged, and the connection goes to a
judged address; TLS and the Host header keep the name. No redirects, no proxies from the
environment, no cookies, no compressed answers; time and bytes are bounded.
"""

import asyncio
import ssl
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import certifi
import httpcore

from models.egress_rules import EgressRules, Target
from models.errors import AddressUnavailable, InvalidInput, NotFound
from models.settings import EgressSettings

_CONNECTIONS: Final = 1000
_KEPT_CONNECTIONS: Final = 100
_KEPT_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 5.0
_TRIED_ADDRESSES: Final = 4
_USER_AGENT: Final = "Strata"
_GONE: Final = frozenset({404, 410})
_LATER: Final = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Answer:
    """What a server said; the body is its beginning."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only."""

    def __init__(self, rules: EgressRules, inner: httpcore.AsyncNetworkBackend) -> None:
        self._rules = rules
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, judge, and connect to the first address that answers."""
        addresses = await self._rules.require_public(host, port)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_TRIED_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Egress:
    """One process's way out."""

    def __init__(self, rules: EgressRules, pool: httpcore.AsyncConnectionPool) -> None:
        self._rules = rules
        self._pool = pool

    async def require(self, url: str, *, path: tuple[str, ...] = ()) -> None:
        """Refuse an address that would not be called now; it is judged again at each connection.

        Raises:
            AddressRefused: says which rule the address breaks.
        """
        target = self._rules.parse(url, path=path)
        await self._rules.require_public(target.host, target.port, path=path)

    def require_form(self, url: str, *, path: tuple[str, ...] = ()) -> None:
        """Refuse an address by its text alone; raises AddressRefused."""
        self._rules.parse(url, path=path)

    async def post(
        self, url: str, content: bytes, *, headers: Mapping[str, str], seconds: float, keep: int
    ) -> Answer:
        """Send a body, and return the answer with up to `keep` bytes of its body.

        Raises:
            AddressRefused: the address may not be called.
            AddressUnavailable: no answer came within `seconds`, all in all.
        """
        target = self._rules.parse(url)
        started = time.monotonic()
        with _speaking():
            async with (
                asyncio.timeout(seconds),
                self._pool.stream(
                    "POST",
                    _url(target),
                    headers=_headers(headers),
                    content=content,
                    extensions={"timeout": {"connect": min(_CONNECT_SECONDS, seconds)}},
                ) as response,
            ):
                body = await _beginning(response.aiter_stream(), keep)
                status, found = response.status, _shown(response.headers)
        return Answer(status, found, body, time.monotonic() - started)

    async def stream(self, url: str, *, limit: int, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield what lies at an address, in chunks.

        Raises:
            AddressRefused: the address may not be called.
            NotFound: nothing is there.
            InvalidInput: it is more than `limit` bytes, redirects, or may not be read.
            AddressUnavailable: the server fails, or takes more than `seconds`, all in all.
        """
        target = self._rules.parse(url)
        deadline = asyncio.get_running_loop().time() + seconds
        size = 0
        async with self._open(target, deadline) as response:
            _require_readable(url, response)
            chunks = aiter(response.aiter_stream())
            while True:
                with _speaking():
                    async with asyncio.timeout_at(deadline):  # never around a yield
                        chunk = await anext(chunks, None)
                if chunk is None:
                    return
                size += len(chunk)
                if size > limit:
                    raise InvalidInput(f"{url} is larger than {limit} bytes.")
                yield chunk

    async def read(self, url: str, *, limit: int, seconds: float) -> bytes:
        """Return what lies at an address; raises as `stream` does."""
        return b"".join([chunk async for chunk in self.stream(url, limit=limit, seconds=seconds)])

    @asynccontextmanager
    async def _open(self, target: Target, deadline: float) -> AsyncIterator[httpcore.Response]:
        request = httpcore.Request(
            "GET",
            _url(target),
            headers=[(b"Host", _host(target)), *_headers({})],
            extensions={"timeout": {"connect": _CONNECT_SECONDS}},
        )
        with _speaking():
            async with asyncio.timeout_at(deadline):
                response = await self._pool.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()


@asynccontextmanager
async def open_egress(
    settings: EgressSettings, rules: EgressRules | None = None
) -> AsyncIterator[Egress]:
    """Open the client for the length of a block; nothing is connected yet."""
    chosen = rules or EgressRules(settings)
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    if settings.ca_file is not None:
        trusted.load_verify_locations(settings.ca_file)
    async with httpcore.AsyncConnectionPool(
        ssl_context=trusted,
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_KEPT_CONNECTIONS,
        keepalive_expiry=_KEPT_SECONDS,
        network_backend=GuardedBackend(chosen, httpcore.AnyIOBackend()),
    ) as pool:
        yield Egress(chosen, pool)


def _url(target: Target) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )


def _host(target: Target) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    default = {"https": 443, "http": 80}[target.scheme]
    return (host if target.port == default else f"{host}:{target.port}").encode()


def _headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    usual = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    return [(name.encode(), value.encode()) for name, value in {**usual, **headers}.items()]


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


async def _beginning(chunks: AsyncIterable[bytes], keep: int) -> bytes:
    """Return up to `keep` bytes; the rest is not read, and the connection is closed for it."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) >= keep:
            break
    return body[:keep]


def _require_readable(url: str, response: httpcore.Response) -> None:
    status = response.status
    if status in _GONE:
        raise NotFound(f"Nothing is stored at {url}.")
    if status in _LATER or status >= 500:
        raise AddressUnavailable(f"{url} answered {status}.")
    if status != 200:
        raise InvalidInput(
            f"{url} may not be read: it answered {status}.",
            hint="Redirects are not followed; give the final address.",
        )
    encoding = _shown(response.headers).get("content-encoding", "identity")
    if encoding != "identity":
        raise InvalidInput(f"{url} is sent as {encoding}, though plain bytes were asked for.")


@contextmanager
def _speaking() -> Iterator[None]:
    """Say what went wrong in the words of `models.errors`, without a word of the other side's."""
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise AddressUnavailable("The server did not answer in time.") from error
    except httpcore.ProtocolError as error:
        raise AddressUnavailable("The server does not speak HTTP.") from error
    except httpcore.NetworkError as error:
        said = "The certificate is not accepted." if _is_tls(error) else "The connection failed."
        raise AddressUnavailable(said) from error


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
