"""What a caller may still spend: a bucket of points in Redis that fills up again by the second.

A process takes a portion of the bucket at a time, by one script, and serves from it without asking
again; what is left over it gives back with the next taking. So all processes together keep to one
bucket, and most operations cost no round trip. Without Redis each process keeps a bucket of its
own: neither open nor shut.

<prefix>:points:{caller}   hash   left, at: points left and the time of the last look
"""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Protocol

from redis.exceptions import RedisError

from graphql_api.errors import Refused
from models.bus import Bus

logger = logging.getLogger(__name__)
_PORTIONS: Final = 50  # a bucket is taken in so many portions
_PORTION_SECONDS: Final = 1.0  # after which what is left of one is given back
_CALLERS: Final = 10_000
_PATIENCE_SECONDS: Final = 0.5  # with Redis, which answers in a millisecond
_ALONE_SECONDS: Final = 2.0  # before Redis is asked again

# KEYS: the bucket. ARGV: capacity, points a second, points back, points wanted, points needed.
# Returns points granted and points left: all that was wanted, else what was needed, else -1.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local capacity, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 'left', 'at')
local left, at = tonumber(bucket[1]) or capacity, tonumber(bucket[2]) or now
left = math.min(capacity, left + math.max(0, now - at) * rate + tonumber(ARGV[3]))
local granted = -1
if left >= tonumber(ARGV[4]) then granted = tonumber(ARGV[4])
elseif left >= tonumber(ARGV[5]) then granted = tonumber(ARGV[5]) end
if granted > 0 then left = left - granted end
redis.call('HSET', KEYS[1], 'left', left, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return {granted, math.floor(left)}
"""


@dataclass
class _Portion:
    """What this process holds of one caller's bucket."""

    held: int = 0
    elsewhere: int = 0  # left in the bucket when it was last looked at
    taken_at: float = float("-inf")
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def left(self) -> int:
        """What the caller may still spend, as far as is known."""
        return max(0, self.held + self.elsewhere)


class Bucket(Protocol):
    """Where points are kept."""

    async def take(self, caller: str, *, back: int, wanted: int, needed: int) -> tuple[int, int]:
        """Give points back, take others; return how many were granted, and how many are left."""


@dataclass(frozen=True)
class Size:
    """How large a bucket is, and how many points come back in a second."""

    capacity: int
    restored: int


class SharedBuckets:
    """Buckets in Redis."""

    def __init__(self, bus: Bus, size: Size) -> None:
        self._bus = bus
        self._size = size
        self._script = bus.redis.register_script(_TAKE)

    async def take(self, caller: str, *, back: int, wanted: int, needed: int) -> tuple[int, int]:
        """Do it by the script."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            granted, left = await self._script(
                keys=[self._bus.points_key(caller)],
                args=[self._size.capacity, self._size.restored, back, wanted, needed],
            )
        return int(granted), int(left)


class LocalBuckets:
    """Buckets of this process alone."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, caller: str, *, back: int, wanted: int, needed: int) -> tuple[int, int]:
        """Do what the script does."""
        now, capacity = time.monotonic(), float(self._size.capacity)
        left, at = self._buckets.pop(caller, (capacity, now))
        left = min(capacity, left + (now - at) * self._size.restored + back)
        granted = next((points for points in (wanted, needed) if left >= points), -1)
        left -= max(granted, 0)
        self._buckets[caller] = (left, now)
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return granted, int(left)


class Rates:
    """Takes the points of operations before they run."""

    def __init__(self, shared: Bucket, local: Bucket, size: Size, *, reason: str) -> None:
        self._shared = shared
        self._local = local
        self._size = size
        self._reason = reason
        self._portions: OrderedDict[str, _Portion] = OrderedDict()
        self._shared_again_at = float("-inf")

    async def spend(self, caller: str, points: int) -> int:
        """Take an operation's points; return how many the caller has left.

        Raises:
            Refused: there are not as many.
        """
        portion = self._portion(caller)
        if portion.held < points or time.monotonic() - portion.taken_at > _PORTION_SECONDS:
            async with portion.taking:
                await self._fill(caller, portion, points)
        portion.held -= points
        return portion.left

    def give_back(self, caller: str, points: int) -> int:
        """Return what an operation did not use; return how much the caller has left."""
        portion = self._portion(caller)
        portion.held += points
        return min(portion.left, self._size.capacity)

    def _portion(self, caller: str) -> _Portion:
        found = self._portions.get(caller)
        if found is None:
            found = self._portions[caller] = _Portion()
            if len(self._portions) > _CALLERS:
                self._portions.popitem(last=False)
        return found

    async def _fill(self, caller: str, portion: _Portion, points: int) -> None:
        """Exchange what is held for a fresh portion."""
        if portion.held >= points and time.monotonic() - portion.taken_at <= _PORTION_SECONDS:
            return  # while this one waited, another did it
        back, portion.held = portion.held, 0
        wanted = points + self._size.capacity // _PORTIONS
        granted, left = await self._take(caller, back, wanted, points)
        portion.taken_at, portion.elsewhere = time.monotonic(), left
        portion.held += max(granted, 0)
        if granted < 0:
            raise self._refuse(points, left)

    async def _take(self, caller: str, back: int, wanted: int, needed: int) -> tuple[int, int]:
        if time.monotonic() >= self._shared_again_at:
            try:
                return await self._shared.take(caller, back=back, wanted=wanted, needed=needed)
            except (RedisError, OSError) as error:  # a timeout is an OSError
                logger.warning("Redis: could not take points (%s)", type(error).__name__)
                self._shared_again_at = time.monotonic() + _ALONE_SECONDS
        return await self._local.take(caller, back=back, wanted=wanted, needed=needed)

    def _refuse(self, points: int, left: int) -> Refused:
        seconds = max(0.1, (points - left) / self._size.restored)
        return Refused(
            "RATE_LIMITED",
            "The points are spent; more come back every second.",
            retry_after=seconds,
            reason=self._reason,
            requested=points,
            remaining=max(left, 0),
            limit=self._size.capacity,
            restoreRate=self._size.restored,
        )
