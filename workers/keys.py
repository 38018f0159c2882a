"""API keys of a namespace: made, rotated with an overlap, revoked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from models.api_key import ApiKey, KeyScope, end_key, issue_key
from models.database import Session
from models.errors import Conflict, InvalidInput, NotFound
from models.idempotency import Claim
from models.namespace import Namespace
from models.scope import Scope
from models.stored import now
from workers.names import require_name

MAX_OVERLAP_SECONDS: Final = 7 * 24 * 3600
MAX_KEYS: Final = 100  # usable ones of a namespace
MadeKey = tuple[ApiKey, str | None]  # the readable form is there once


async def create_key(
    scope: Scope,
    *,
    name: str,
    scopes: Sequence[KeyScope],
    expires_at: datetime | None = None,
    claim: Claim | None = None,
) -> MadeKey:
    """Make a key.

    Raises:
        NotFound: no such namespace.
        InvalidInput: a bad name, no scope, or an end that is past.
        Conflict: the namespace has too many keys.
    """
    require_name(name)
    if not scopes:
        raise InvalidInput("A key needs a scope.", path=("scopes",), hint="READ is the least.")
    if expires_at is not None and expires_at <= now():
        raise InvalidInput("The key would have expired already.", path=("expiresAt",))
    if await Namespace.get(scope.namespace_id) is None:
        raise NotFound(f"No namespace {scope.namespace_id!r} here.", path=("namespaceId",))
    if await scope.count(ApiKey, {"revoked_at": None}) >= MAX_KEYS:
        raise Conflict(
            f"The namespace has {MAX_KEYS} keys.", hint="Revoke those that are out of use."
        )
    key, secret = issue_key(scope.namespace_id, name=name, scopes=scopes, expires_at=expires_at)

    async def insert(session: Session) -> None:
        await ApiKey.get_pymongo_collection().insert_one(key.to_mongo(), session=session)

    await (claim or Claim()).commit(insert, key_id=key.id)
    return key, secret


async def rotate_key(
    scope: Scope, key_id: str, *, overlap_seconds: int, claim: Claim | None = None
) -> MadeKey:
    """Make a key with the name, scopes and end of another, which opens nothing after the overlap.

    Raises:
        NotFound: no such key.
        InvalidInput: the overlap is negative or too long.
        Conflict: the key opens nothing any more.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInput(
            f"The overlap must be 0 to {MAX_OVERLAP_SECONDS} seconds.", path=("overlapSeconds",)
        )
    old = await _require_key(scope, key_id)
    if not old.usable:
        raise Conflict(
            f"Key {key_id} has expired or was revoked.",
            path=("id",),
            hint="Make a new one with createApiKey.",
        )
    key, secret = issue_key(
        scope.namespace_id,
        name=old.name,
        scopes=old.scopes,
        expires_at=old.expires_at,
        rotated_from=old.id,
    )
    end = now() + timedelta(seconds=overlap_seconds)

    async def replace(session: Session) -> None:
        await end_key(old.id, "expires_at", end, session=session)
        await ApiKey.get_pymongo_collection().insert_one(key.to_mongo(), session=session)

    await (claim or Claim()).commit(replace, key_id=key.id)
    return key, secret


async def revoke_key(scope: Scope, key_id: str, *, claim: Claim | None = None) -> ApiKey:
    """Let a key open nothing any more; again, it answers as the first time.

    Raises:
        NotFound: no such key.
    """
    await _require_key(scope, key_id)

    async def revoke(session: Session) -> None:
        await end_key(key_id, "revoked_at", now(), session=session)

    await (claim or Claim()).commit(revoke, key_id=key_id)
    return await _require_key(scope, key_id)


async def recall_key(scope: Scope, key_id: str) -> MadeKey:
    """Return a key without its readable form, which nobody keeps; raises NotFound."""
    return await _require_key(scope, key_id), None


async def _require_key(scope: Scope, key_id: str) -> ApiKey:
    found = await scope.find(ApiKey, key_id)
    if found is None:
        raise NotFound(f"No key {key_id!r} here.", path=("id",))
    return found
