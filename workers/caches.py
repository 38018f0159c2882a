"""Answers that are computed once, and given again until what they read has changed.

An answer's key holds the joint signature of the collections that it reads. Who asks reads that
signature from MongoDB first, by majority, in the same request: after a write was acknowledged the
signature is another, whatever Redis still holds, so no earlier answer can be found. An answer is
kept only when the signature is the same after it was computed as before, so what lies under a
signature was read while it held. Dropping answers frees memory and nothing else depends on it.

Rights are checked before anybody comes here. The namespace is in the key, and once more in what is
found: an answer for one namespace is never given to another.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from models import metrics
from models.cache import AnswerCache, Kept
from models.collection import Collection, joint_signature
from models.document import Document
from models.errors import StoreUnavailable
from models.scope import Scope

logger = logging.getLogger(__name__)
_FORMAT: Final = "1"  # of what is kept; another number forgets all of it
Row = dict[str, Any]
T = TypeVar("T")


class CacheStatus(StrEnum):
    """What the cache had to do with an answer."""

    HIT = "HIT"
    MISS = "MISS"
    BYPASS = "BYPASS"  # it was not asked, or could not be


class CacheScope(StrEnum):
    """What is dropped together."""

    KEY = "key"
    COLLECTION = "collection"
    NAMESPACE = "namespace"


@dataclass(frozen=True)
class Recalled(Generic[T]):
    """An answer, and where it came from."""

    value: T
    status: CacheStatus
    signature: str | None = None
    age_seconds: float | None = None


@dataclass(frozen=True)
class Form(Generic[T]):
    """How an answer of one kind is kept."""

    kind: str
    pack: Callable[[T], Row]
    unpack: Callable[[Row], T]  # raises ValueError, KeyError or TypeError on what it is not


@dataclass(frozen=True)
class Answers:
    """A namespace's answers, for one operation."""

    cache: AnswerCache
    scope: Scope
    bypass: bool = False

    async def recall(
        self,
        form: Form[T],
        question: Any,
        collections: Sequence[Collection] | None,
        compute: Callable[[], Awaitable[T]],
    ) -> Recalled[T]:
        """Return the answer to a question about collections that were read just now.

        Without collections, as when one of them is gone, it is computed. So it is without Redis.
        """
        recalled = await self._recall(form, question, collections, compute)
        metrics.ANSWERS.labels(form.kind, recalled.status.value).inc()
        return recalled

    async def _recall(
        self,
        form: Form[T],
        question: Any,
        collections: Sequence[Collection] | None,
        compute: Callable[[], Awaitable[T]],
    ) -> Recalled[T]:
        if self.bypass or not self.cache.enabled or not collections:
            return Recalled(await compute(), CacheStatus.BYPASS)
        signature = joint_signature(collections)
        digest = _digest(form.kind, self.scope, question, signature)
        try:
            found = await self.cache.look(self.scope.namespace_id, digest)
        except StoreUnavailable:
            return Recalled(await compute(), CacheStatus.BYPASS, signature)
        if found is not None and (value := self._unpack(form, found)) is not None:
            return Recalled(value, CacheStatus.HIT, signature, found.age_seconds)
        value = await compute()
        ids = [one.id for one in collections]
        if await self._still(ids, signature):
            await self._keep(digest, ids, form.pack(value))
        return Recalled(value, CacheStatus.MISS, signature)

    async def collections(self, ids: Sequence[str]) -> list[Collection] | None:
        """Read collections, for their signatures; None when one of them is not there."""
        found = await self.scope.find_many(Collection, ids)
        return list(found.values()) if len(found) == len(set(ids)) else None

    async def _still(self, ids: Sequence[str], signature: str) -> bool:
        now = await self.collections(ids)
        return now is not None and joint_signature(now) == signature

    async def _keep(self, digest: str, ids: Sequence[str], body: Row) -> None:
        try:
            await self.cache.keep(self.scope.namespace_id, digest, ids, body)
        except StoreUnavailable:
            logger.debug("An answer was not kept.")

    def _unpack(self, form: Form[T], found: Kept) -> T | None:
        try:
            return form.unpack(found.body)
        except (ValueError, KeyError, TypeError):
            logger.warning("An answer of kind %s cannot be read; it is computed again", form.kind)
            return None


def read_document(scope: Scope, row: Row) -> Document:
    """Return a document that was kept.

    Raises:
        ValueError: it is none, or of another namespace.
    """
    if row["namespace_id"] != scope.namespace_id:
        raise ValueError("It belongs to another namespace.")
    document: Document = Document.model_validate(row)
    return document


async def drop_answers(
    cache: AnswerCache, namespace_id: str, scope: CacheScope, name: str = ""
) -> int:
    """Drop what was kept in a scope: an answer or a collection by name, or all of a namespace."""
    try:
        dropped = await _drop(cache, namespace_id, scope, name)
        metrics.DROPPED.labels(scope.value).inc(dropped)
        return dropped
    except StoreUnavailable:  # what is left cannot be found under the new signature, and ends
        return 0


async def _drop(cache: AnswerCache, namespace_id: str, scope: CacheScope, name: str) -> int:
    match scope:
        case CacheScope.KEY:
            return await cache.drop_answer(namespace_id, name)
        case CacheScope.COLLECTION:
            return await cache.drop_collection(namespace_id, name)
        case CacheScope.NAMESPACE:
            return await cache.drop_namespace(namespace_id)


def _digest(kind: str, scope: Scope, question: Any, signature: str) -> str:
    asked = json.dumps(
        [_FORMAT, kind, scope.namespace_id, signature, question],
        sort_keys=True,
        default=_plain,
    )
    return hashlib.sha256(asked.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no part of a question")
