"""API keys: `strata_<id>_<secret><checksum>`, shown once, stored as SHA-256 of the secret.

The prefix lets scanners find a leaked key, the checksum (CRC-32 in base 62, six characters) lets
anyone tell a mistyped one offline. A fast hash is right for 256 random bits.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.ids import is_id, new_id
from models.stored import Namespaced, now

_PREFIX: Final = "strata"
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43  # 43 base-62 characters hold 256 bits
_CHECKSUM_LENGTH: Final = 6
USE_SECONDS: Final = 60.0  # one write a key and minute at most


class KeyScope(StrEnum):
    """What a key may do in its namespace: READ < WRITE < ADMIN, and beside them INTROSPECT."""

    READ = "READ"
    WRITE = "WRITE"
    ADMIN = "ADMIN"  # keys, the audit log, the namespace itself
    INTROSPECT = "INTROSPECT"  # reading the schema from the server


_INCLUDES: Final[Mapping[KeyScope, frozenset[KeyScope]]] = {
    KeyScope.READ: frozenset({KeyScope.READ}),
    KeyScope.WRITE: frozenset({KeyScope.READ, KeyScope.WRITE}),
    KeyScope.ADMIN: frozenset({KeyScope.READ, KeyScope.WRITE, KeyScope.ADMIN}),
    KeyScope.INTROSPECT: frozenset({KeyScope.INTROSPECT}),
}
EVERYTHING: Final = (KeyScope.ADMIN, KeyScope.INTROSPECT)


class ApiKey(Namespaced):
    """One key of a namespace."""

    name: str
    secret_sha256: str
    scopes: list[KeyScope] = list(EVERYTHING)  # of a key from before there were scopes
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None  # to within USE_SECONDS
    rotated_from: str | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "api_keys"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("_id", 1)], name="namespace"),
            IndexModel([("secret_sha256", 1)], unique=True, name="secret"),
        ]

    @property
    def usable(self) -> bool:
        """Whether it may still open anything."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now())

    @property
    def granted(self) -> frozenset[KeyScope]:
        """Its scopes and those that they include."""
        return frozenset().union(*(_INCLUDES[scope] for scope in self.scopes))

    def admits(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.secret_sha256, _hash(secret)) and self.usable


def issue_key(
    namespace_id: str,
    *,
    name: str,
    scopes: Sequence[KeyScope] = EVERYTHING,
    expires_at: datetime | None = None,
    rotated_from: str | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key and its only readable form."""
    secret = "".join(secrets.choice(_BASE62) for _ in range(_SECRET_LENGTH))
    key = ApiKey(
        id=new_id("key"),
        namespace_id=namespace_id,
        name=name,
        secret_sha256=_hash(secret),
        scopes=list(scopes),
        expires_at=expires_at,
        rotated_from=rotated_from,
    )
    body = f"{_PREFIX}_{key.id}_{secret}"
    return key, body + _checksum(body)


async def find_key(key_id: str, secret: str) -> ApiKey | None:
    """Return the key that has this id and secret, if it may still open anything.

    It is looked for by what only its holder has: a wrong secret is not found, whether or not there
    is a key of that id, so the time of an answer says nothing about ids.
    """
    row = await ApiKey.get_pymongo_collection().find_one({"secret_sha256": _hash(secret)})
    key = None if row is None else ApiKey.model_validate(row)
    return key if key is not None and key.id == key_id and key.admits(secret) else None


async def note_use(key: ApiKey) -> None:
    """Record that a key was used, unless that is known for the present minute."""
    moment = now()
    long_ago = moment - timedelta(seconds=USE_SECONDS)
    if key.last_used_at is None or key.last_used_at < long_ago:
        await ApiKey.get_pymongo_collection().update_one(
            {"_id": key.id, "$or": [{"last_used_at": None}, {"last_used_at": {"$lt": long_ago}}]},
            {"$set": {"last_used_at": moment}},
        )


async def end_key(
    key_id: str, field: str, moment: datetime, *, session: AsyncClientSession
) -> None:
    """Let a key end, by `expires_at` or `revoked_at`, no later than at a moment."""
    await ApiKey.get_pymongo_collection().update_one(
        {"_id": key_id},
        [{"$set": {field: {"$min": [f"${field}", moment]}}}],  # null is no minimum
        session=session,
    )


def parse_key(text: str) -> tuple[str, str] | None:
    """Split a key into its id and secret; None when its form or checksum is wrong."""
    body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    if not text.isascii() or not hmac.compare_digest(_checksum(body), checksum):
        return None
    prefix, _, rest = body.partition("_")
    key_id, _, secret = rest.rpartition("_")
    return (key_id, secret) if prefix == _PREFIX and is_id(key_id, "key") else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = (_BASE62[number // 62**power % 62] for power in range(_CHECKSUM_LENGTH - 1, -1, -1))
    return "".join(digits)
