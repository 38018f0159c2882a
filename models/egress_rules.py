"""Which addresses of users' may be called. Judged is what a name resolves to, never its text.

An address is refused when it is not global, or multicast, or in the list below: what Python calls
global differs between its releases, and some ranges lead back inside by translation.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import idna

from models.errors import AddressRefused
from models.settings import EgressSettings

_URL_LENGTH: Final = 2048
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_RESOLVE_SECONDS: Final = 5.0
_ALWAYS_REFUSED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "64:ff9b::/96",  # NAT64: the IPv4 address is inside
        "64:ff9b:1::/48",
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local
        "::/96",  # IPv4-compatible
        "192.0.0.0/24",
        "192.88.99.0/24",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds serve metadata there
    )
)
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class Target:
    """An address that keeps to the rules of text; its host is not judged yet."""

    scheme: str
    host: str
    port: int
    path: str


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return what the system's resolver answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


class EgressRules:
    """The rules of one process."""

    def __init__(self, settings: EgressSettings, resolve: Resolve = resolve_by_system) -> None:
        self._settings = settings
        self._resolve = resolve

    def parse(self, url: str, *, path: Sequence[str] = ()) -> Target:
        """Split a URL; raises AddressRefused for what is never called."""
        if len(url) > _URL_LENGTH or _FORBIDDEN.search(url):
            raise _refused(
                f"A URL has at most {_URL_LENGTH} characters, none of them a space, "
                "a control character or a backslash.",
                path,
            )
        try:
            parts = urlsplit(url)
            port = parts.port
            host = _normalise(parts.hostname or "")
            rest = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
            query = quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
        except (ValueError, UnicodeError) as error:  # idna's errors are of the latter
            raise _refused("This is no URL.", path) from error
        self._require_allowed(parts.scheme, parts.netloc, port, path)
        return Target(
            parts.scheme,
            host,
            port or _DEFAULT_PORTS[parts.scheme],
            f"{rest}?{query}" if query else rest,
        )

    def _require_allowed(
        self, scheme: str, netloc: str, port: int | None, path: Sequence[str]
    ) -> None:
        schemes = ("https", "http") if self._settings.allow_http else ("https",)
        if scheme not in schemes:
            raise _refused(f"The address must begin with {' or '.join(schemes)}.", path)
        if "@" in netloc:
            raise _refused("The address must not hold a user name or a password.", path)
        ports = self._settings.ports
        if (port or _DEFAULT_PORTS[scheme]) not in ports:
            allowed = ", ".join(str(one) for one in ports)
            raise _refused(f"The port must be one of {allowed}.", path)

    async def require_public(self, host: str, port: int, *, path: Sequence[str] = ()) -> list[str]:
        """Resolve once and return the addresses, all of which may be called.

        Raises:
            AddressRefused: one may not, or there is none; which of it, the message does not tell.
        """
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await self._resolve(host, port)
            addresses = [_parse(text) for text in dict.fromkeys(found)]
        except (OSError, ValueError):  # a timeout and a name without an address are OSErrors
            addresses = []
        if not addresses or any(self._is_refused(address) for address in addresses):
            raise _refused("The host does not resolve to public addresses only.", path)
        return [str(address) for address in addresses]

    def _is_refused(self, address: IpAddress) -> bool:
        if any(_within(address, network) for network in self._settings.refused_ranges):
            return True
        if any(_within(address, network) for network in self._settings.allowed_ranges):
            return False
        return (
            not address.is_global
            or address.is_multicast
            or any(_within(address, network) for network in _ALWAYS_REFUSED)
        )


def _parse(text: str) -> IpAddress:
    """Return an address; one of IPv4 inside IPv6 as what it is."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: IpAddress, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return address.version == network.version and address in network


def _normalise(host: str) -> str:
    """Return a host as DNS knows it: lower case, Punycode, without a dot at its end."""
    host = host.rstrip(".").lower()
    if not host:
        raise ValueError("no host")
    return host if host.isascii() else idna.encode(host, uts46=True).decode()


def _refused(message: str, path: Sequence[str]) -> AddressRefused:
    return AddressRefused(
        message, path=path, hint="Use a public https address, or ask the operator to allow it."
    )
