"""Who is asking: keys to principals, in one place. A key is looked up at most every few seconds."""

import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from pymongo.errors import PyMongoError

from graphql_api.attempts import Attempts
from models.api_key import KeyScope, find_key, note_use, parse_key
from models.errors import Forbidden, StoreUnavailable, Unauthenticated
from models.scope import Scope

_CACHE_SECONDS: Final = 4.0  # a revoked key is refused within 5 s, the look-up included
_CACHE_KEYS: Final = 10_000
_SCHEME: Final = "bearer "


@dataclass(frozen=True)
class Principal:
    """Somebody known: the administrator, or a key of one namespace."""

    key_id: str
    namespace_id: str | None
    scopes: frozenset[KeyScope] = frozenset()

    @property
    def is_operator(self) -> bool:
        """Whether it is the deployment's admin key."""
        return self.namespace_id is None

    def may(self, scope: KeyScope) -> bool:
        """Tell whether it has a scope; the operator has INTROSPECT only, having no namespace."""
        return scope is KeyScope.INTROSPECT if self.is_operator else scope in self.scopes

    @property
    def scope(self) -> Scope:
        """The namespace that this principal works in.

        Raises:
            Forbidden: the admin key has none.
        """
        if self.namespace_id is None:
            raise Forbidden(
                "The admin key opens no namespace.",
                hint="Use the API key that createNamespace returned.",
            )
        return Scope(self.namespace_id)


class Authenticator:
    """Turns `Bearer ...` into a principal."""

    def __init__(self, admin_key: SecretStr | None, attempts: Attempts) -> None:
        self._admin_key = admin_key
        self._attempts = attempts
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def principal(self, authorization: str | None, address: str = "") -> Principal | None:
        """Return who holds the key; None without one.

        Raises:
            Unauthenticated: a key came, but it opens nothing.
            TooManyAttempts: nor did too many others from the same address.
            StoreUnavailable: it cannot be looked up now.
        """
        if not authorization:
            return None
        if not authorization.lower().startswith(_SCHEME):
            raise Unauthenticated("Authorization must have the form `Bearer <key>`.")
        token = authorization[len(_SCHEME) :].strip()
        if self._is_admin(token):
            return Principal("admin", None)
        principal = await self._cached(token, address)
        if principal is None:
            await self._attempts.count(address)
            raise Unauthenticated(
                "The key is unknown, expired or revoked.", hint="Check it, or ask for a new one."
            )
        return principal

    def _is_admin(self, token: str) -> bool:
        return self._admin_key is not None and hmac.compare_digest(
            token.encode(errors="replace"), self._admin_key.get_secret_value().encode()
        )

    async def _cached(self, token: str, address: str) -> Principal | None:
        """Look a key up, at most every few seconds; one that was good may always be looked up."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        known = self._known.get(digest)
        if known is None:
            self._attempts.require_patience(address)
        elif known[0] > time.monotonic():
            return known[1]
        principal = await _look_up(token)
        if principal is None:
            self._known.pop(digest, None)
            return None
        self._known[digest] = (time.monotonic() + _CACHE_SECONDS, principal)
        self._known.move_to_end(digest)
        if len(self._known) > _CACHE_KEYS:
            self._known.popitem(last=False)
        return principal


async def _look_up(token: str) -> Principal | None:
    parts = parse_key(token)
    if parts is None:
        return None
    try:
        key = await find_key(*parts)
        if key is None:
            return None
        await note_use(key)
    except PyMongoError as error:
        raise StoreUnavailable("Keys cannot be looked up now.", hint="Try again.") from error
    return Principal(key.id, key.namespace_id, key.granted)


def require_scope(principal: Principal | None) -> Scope:
    """Return the caller's namespace; raises Unauthenticated or Forbidden."""
    if principal is None:
        raise Unauthenticated(
            "This needs an API key.", hint="Send the header `Authorization: Bearer <key>`."
        )
    return principal.scope


def may_introspect(principal: Principal | None) -> bool:
    """Return whether the caller may read the schema from the API."""
    return principal is not None and principal.may(KeyScope.INTROSPECT)


def rights_of(principal: Principal | None) -> tuple[str | None, ...]:
    """Return what decides about the sight of a subscriber: equal rights see equal frames."""
    if principal is None:
        return ("", None)
    return ("key", principal.namespace_id, *sorted(principal.scopes))
