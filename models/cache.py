"""Answers kept in Redis for a while. Losing any of them loses nothing; see `workers.caches`.

<prefix>:answers:{<namespace>}:<digest>          string  an answer; the digest is of its signature
<prefix>:answers:{<namespace>}                   zset    digests of all answers, by their end
<prefix>:answers:{<namespace>}:of:<collection>   zset    the same, of those that read a collection
<prefix>:answers:{<namespace>}:counts            hash    hits, misses, dropped, dropped_at; a week

Every answer ends by itself. Without Redis there are none: it is asked again after two seconds.
"""

import asyncio
import base64
import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from models.bus import Bus
from models.errors import StoreUnavailable
from models.settings import AnswerSettings

logger = logging.getLogger(__name__)
_PATIENCE_SECONDS: Final = 0.25  # with Redis, which answers in a millisecond
_ALONE_SECONDS: Final = 2.0  # before Redis is asked again
_CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True, tzinfo=UTC)

# KEYS: the answer, the counts. Returns the answer or nothing.
_LOOK: Final = """
local found = redis.call('GET', KEYS[1])
redis.call('HINCRBY', KEYS[2], found and 'hits' or 'misses', 1)
redis.call('EXPIRE', KEYS[2], 604800)
return found
"""

# KEYS: the answer, the namespace's index, those of the collections.
# ARGV: the answer, its seconds, its digest, how many a namespace may have, what keys begin with.
_KEEP: Final = """
local now, seconds = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
for place = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now)
  redis.call('ZADD', KEYS[place], now + seconds, ARGV[3])
  redis.call('EXPIRE', KEYS[place], seconds)
end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  local passed = redis.call('ZPOPMIN', KEYS[2], over)
  for place = 1, #passed, 2 do redis.call('UNLINK', ARGV[5] .. passed[place]) end
end
"""

# KEYS: an index, the namespace's index, the counts. ARGV: what keys begin with, the one digest.
# Returns how many answers were there.
_DROP: Final = """
local dropped = 0
local digests = ARGV[2] and {ARGV[2]} or redis.call('ZRANGE', KEYS[1], 0, -1)
for _, digest in ipairs(digests) do
  dropped = dropped + redis.call('UNLINK', ARGV[1] .. digest)
  redis.call('ZREM', KEYS[1], digest)
  redis.call('ZREM', KEYS[2], digest)
end
redis.call('HINCRBY', KEYS[3], 'dropped', dropped)
redis.call('HSET', KEYS[3], 'dropped_at', redis.call('TIME')[1])
redis.call('EXPIRE', KEYS[3], 604800)
return dropped
"""


@dataclass(frozen=True)
class Kept:
    """An answer that was kept."""

    body: dict[str, Any]
    age_seconds: float


@dataclass(frozen=True)
class AnswerCounts:
    """How often a namespace's answers were there, in about a week, and how many are now."""

    hits: int = 0
    misses: int = 0
    dropped: int = 0
    dropped_at: datetime | None = None
    answers: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Hits among all looks; None before the first."""
        looks = self.hits + self.misses
        return self.hits / looks if looks else None


class AnswerCache:
    """One process's view of the answers in Redis."""

    def __init__(self, bus: Bus, settings: AnswerSettings) -> None:
        self.enabled = settings.enabled
        self._bus = bus
        self._settings = settings
        self._look = bus.redis.register_script(_LOOK)
        self._keep = bus.redis.register_script(_KEEP)
        self._drop = bus.redis.register_script(_DROP)
        self._again_at = float("-inf")

    async def look(self, namespace_id: str, digest: str) -> Kept | None:
        """Return an answer, if it is there; a hit or a miss is counted.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        start = self._bus.answers_key(namespace_id)
        found = await self._ask(self._look, [f"{start}:{digest}", f"{start}:counts"], [])
        return None if found is None else _unpack(found)

    async def keep(
        self,
        namespace_id: str,
        digest: str,
        collection_ids: Sequence[str],
        body: Mapping[str, Any],
    ) -> None:
        """Keep an answer that read these collections, unless it is too large.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        packed = _pack(body)
        if packed is None or len(packed) > self._settings.max_bytes:
            return
        start = self._bus.answers_key(namespace_id)
        indexes = [start, *(f"{start}:of:{one}" for one in collection_ids)]
        limits = [self._settings.ttl_seconds, digest, self._settings.per_namespace, f"{start}:"]
        await self._ask(self._keep, [f"{start}:{digest}", *indexes], [packed, *limits])

    async def drop_answer(self, namespace_id: str, digest: str) -> int:
        """Drop one answer; return whether it was there.

        Raises:
            StoreUnavailable: Redis does not answer, as for the two below.
        """
        start = self._bus.answers_key(namespace_id)
        return await self._drop_from(start, start, digest)

    async def drop_collection(self, namespace_id: str, collection_id: str) -> int:
        """Drop the answers that read a collection; return how many there were."""
        start = self._bus.answers_key(namespace_id)
        return await self._drop_from(start, f"{start}:of:{collection_id}")

    async def drop_namespace(self, namespace_id: str) -> int:
        """Drop every answer of a namespace; return how many there were."""
        start = self._bus.answers_key(namespace_id)
        return await self._drop_from(start, start)

    async def read_counts(self, namespace_id: str) -> AnswerCounts:
        """Return what was counted; nothing without Redis."""
        start = self._bus.answers_key(namespace_id)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                counted = await self._bus.redis.hgetall(f"{start}:counts")
                answers = await self._bus.redis.zcount(start, time.time(), "+inf")
        except (RedisError, OSError) as error:
            logger.warning("Redis: could not read counts (%s)", type(error).__name__)
            return AnswerCounts()
        at = counted.get("dropped_at")
        return AnswerCounts(
            **{name: int(counted.get(name, 0)) for name in ("hits", "misses", "dropped")},
            dropped_at=None if at is None else datetime.fromtimestamp(int(at), UTC),
            answers=answers,
        )

    async def _drop_from(self, start: str, index: str, digest: str | None = None) -> int:
        chosen = [] if digest is None else [digest]
        keys = [index, start, f"{start}:counts"]
        return int(await self._ask(self._drop, keys, [f"{start}:", *chosen]))

    async def _ask(self, script: AsyncScript, keys: list[str], args: list[Any]) -> Any:
        if time.monotonic() < self._again_at:
            raise StoreUnavailable("Redis did not answer a moment ago.")
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await script(keys=keys, args=args)
        except (RedisError, OSError) as error:  # a timeout is an OSError
            logger.warning("Redis: no answers kept or given (%s)", type(error).__name__)
            self._again_at = time.monotonic() + _ALONE_SECONDS
            raise StoreUnavailable("Redis does not answer.") from error


def _pack(body: Mapping[str, Any]) -> str | None:
    """Return an answer as text with its time; None for what BSON cannot hold."""
    try:
        raw = bson.encode({"at": time.time(), "body": body})
    except (BSONError, OverflowError):
        return None
    return base64.b64encode(zlib.compress(raw, 1)).decode()


def _unpack(packed: str) -> Kept | None:
    """Return an answer from its text; None when it is none of ours."""
    try:
        row = bson.decode(zlib.decompress(base64.b64decode(packed)), _CODEC)
        return Kept(row["body"], max(0.0, time.time() - row["at"]))
    except (ValueError, KeyError, TypeError, zlib.error, BSONError):
        return None
