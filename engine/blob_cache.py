"""Bytes behind addresses, fetched once for each run of a batch, however many extractors ask.

Kept in files without names: a process that dies leaves none behind. Within a run every extractor
sees the same bytes, even when the object is replaced meanwhile; the next run fetches anew.
"""

import asyncio
import os
import tempfile
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from engine.source_texts import Read
from models.artifacts import ArtifactStore
from models.egress import Egress

_KEPT_FILES: Final = 256
_FETCHES: Final = 8
_FETCH_SECONDS: Final = 60.0  # of one address that is not on S3


@dataclass(frozen=True)
class Occasion:
    """One run of a batch: what it fetched is not what the next one gets."""

    namespace_id: str
    run: str


class _Kept:
    """A file without a name; it goes when nobody holds it, a reader in a thread included."""

    def __init__(self, body: bytes) -> None:
        self.size = len(body)
        descriptor, name = tempfile.mkstemp(prefix="strata-")
        os.unlink(name)
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        done = 0
        while done < self.size:
            done += os.write(descriptor, memoryview(body)[done:])

    def read(self) -> bytes:
        """Return what was written."""
        parts: list[bytes] = []
        while (at := sum(map(len, parts))) < self.size:
            parts.append(os.pread(self._descriptor, self.size - at, at))
        return parts[0] if len(parts) == 1 else b"".join(parts)


class BlobCache:
    """What the runs of one process have fetched lately, on disk and within a bound."""

    def __init__(
        self, artifacts: ArtifactStore, egress: Egress | None = None, *, kept_bytes: int
    ) -> None:
        self._artifacts = artifacts
        self._egress = egress
        self._bound = kept_bytes
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        self._bytes = 0
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._gate = asyncio.Semaphore(_FETCHES)

    def reader(self, occasion: Occasion) -> Read:
        """Return `read` for one occasion."""
        return lambda url, limit: self.read(url, occasion, limit=limit)

    async def read(self, url: str, occasion: Occasion, *, limit: int) -> bytes:
        """Return the bytes behind an address.

        Raises:
            InvalidInput: no such address, not allowed, closed to us, or more than `limit` bytes.
            NotFound: nothing is there.
            StoreUnavailable: S3 does not answer.
            AddressUnavailable: the server of an https address does not.
        """
        key = (occasion.namespace_id, occasion.run, url)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:  # others who want the same wait for this fetch
            if (found := self._kept.get(key)) is not None and found.size <= limit:
                self._kept.move_to_end(key)
                return await asyncio.to_thread(found.read)
            async with self._gate:
                body = await self._fetch(url, occasion, limit)
                self._keep(key, await asyncio.to_thread(_Kept, body))
            return body

    async def _fetch(self, url: str, occasion: Occasion, limit: int) -> bytes:
        if self._egress is None or url.startswith("s3://"):
            return await self._artifacts.read_source(
                url, limit=limit, namespace_id=occasion.namespace_id
            )
        return await self._egress.read(url, limit=limit, seconds=_FETCH_SECONDS)

    def _keep(self, key: tuple[str, str, str], found: _Kept) -> None:
        if (earlier := self._kept.pop(key, None)) is not None:  # fetched again under a wider limit
            self._bytes -= earlier.size
        self._kept[key] = found
        self._bytes += found.size
        while self._kept and (self._bytes > self._bound or len(self._kept) > _KEPT_FILES):
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.size
