"""Qdrant: a Qdrant collection for each collection of ours, so no search crosses namespaces.

<prefix>_{collection_id}   named vectors as the collection declares; payload below
payload                    collection_id object_id batch_id block_id epoch
points                     id = document id; written before the document, found only through it

A point without a committed document in MongoDB is invisible: searches read the documents they name.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from httpx import HTTPError
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from models.collection import Collection
from models.errors import Misconfigured, NotFound, StoreUnavailable
from models.fields import VectorField
from models.settings import QdrantSettings

Vectors = npt.NDArray[np.float32]
_DISTANCES: Final = {"cosine": q.Distance.COSINE, "dot": q.Distance.DOT}
_UPSERT_POINTS: Final = 500
_IN_FLIGHT: Final = 2
_INDEXED: Final = ("object_id", "batch_id", "block_id")
_FAILURES: Final = (ResponseHandlingException, UnexpectedResponse, HTTPError, OSError)


class Hit:
    """A point that was found."""

    __slots__ = ("document_id", "score")

    def __init__(self, document_id: str, score: float) -> None:
        self.document_id = document_id
        self.score = score


class VectorStore:
    """The points of all collections."""

    def __init__(self, client: AsyncQdrantClient, settings: QdrantSettings) -> None:
        self._qdrant = client
        self._prefix = settings.prefix
        self._ensured: set[str] = set()

    def _name(self, collection_id: str) -> str:
        return f"{self._prefix}_{collection_id}"

    async def ensure(self, collection: Collection) -> None:
        """Create a collection's Qdrant collection and payload indexes if they are not there."""
        name = self._name(collection.id)
        if name in self._ensured:
            return
        with _speaking():
            if not await self._qdrant.collection_exists(name):
                await self._create(name, collection.vectors)
            for field in _INDEXED:  # also where a crash left them out
                await self._qdrant.create_payload_index(name, field, q.PayloadSchemaType.KEYWORD)
        self._ensured.add(name)

    async def _create(self, name: str, vectors: Sequence[VectorField]) -> None:
        params = {
            vector.name: q.VectorParams(size=vector.dimension, distance=_DISTANCES[vector.distance])
            for vector in vectors
        }
        try:
            await self._qdrant.create_collection(name, vectors_config=params)
        except UnexpectedResponse:
            if not await self._qdrant.collection_exists(name):
                raise  # else another process was faster

    async def upsert(
        self,
        collection_id: str,
        ids: Sequence[str],
        payloads: Sequence[Mapping[str, Any]],
        vectors: Mapping[str, Vectors],
        *,
        block_id: str,
        epoch: int,
    ) -> None:
        """Write points, durably, unless a later epoch of the same block has written them.

        `vectors` maps a vector's name to an array of shape (len(ids), dimension).
        """
        stale = q.Filter(
            must=[
                q.FieldCondition(key="block_id", match=q.MatchValue(value=block_id)),
                q.FieldCondition(key="epoch", range=q.Range(gt=epoch)),
            ]
        )
        gate = asyncio.Semaphore(_IN_FLIGHT)

        async def write(start: int) -> None:
            rows = slice(start, start + _UPSERT_POINTS)
            lists = {name: array[rows].tolist() for name, array in vectors.items()}
            points = [
                q.PointStruct(
                    id=point_id,
                    payload=dict(payload),
                    vector={name: values[index] for name, values in lists.items()},
                )
                for index, (point_id, payload) in enumerate(
                    zip(ids[rows], payloads[rows], strict=True)
                )
            ]
            async with gate:
                await self._qdrant.upsert(
                    self._name(collection_id),
                    points,
                    wait=True,
                    update_filter=q.Filter(must_not=[stale]),
                )

        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, len(ids), _UPSERT_POINTS):
                    group.create_task(write(start))
        except* _FAILURES as failures:
            self._ensured.discard(self._name(collection_id))  # Qdrant may have lost it
            raise _unavailable(failures.exceptions[0]) from failures

    async def delete(self, collection_id: str, ids: Sequence[str]) -> None:
        """Remove points by id."""
        if ids:
            with _speaking():
                await self._qdrant.delete(
                    self._name(collection_id), q.PointIdsList(points=list(ids))
                )

    async def drop(self, collection_id: str) -> None:
        """Remove a collection's Qdrant collection."""
        with _speaking():
            await self._qdrant.delete_collection(self._name(collection_id))
        self._ensured.discard(self._name(collection_id))

    async def search(
        self, collection_id: str, vector: Sequence[float], *, using: str, limit: int
    ) -> list[Hit]:
        """Return the nearest points, best first.

        Raises:
            NotFound: nothing was ever written to the collection.
            StoreUnavailable: Qdrant does not answer.
        """
        try:
            found = await self._qdrant.query_points(
                self._name(collection_id),
                query=list(vector),
                using=using,
                limit=limit,
                with_payload=False,
            )
        except UnexpectedResponse as error:
            if error.status_code == 404:
                raise NotFound("The collection has no vectors yet.") from error
            raise _unavailable(error) from error
        except _FAILURES as error:
            raise _unavailable(error) from error
        return [Hit(str(point.id), point.score) for point in found.points]

    async def count(self, collection_id: str) -> int:
        """Return the exact number of points."""
        with _speaking():
            answer = await self._qdrant.count(self._name(collection_id), exact=True)
        return answer.count


@asynccontextmanager
async def open_vectors(settings: QdrantSettings) -> AsyncIterator[VectorStore]:
    """Open the Qdrant client for the length of a block."""
    if settings.url is None:
        raise Misconfigured(
            "Qdrant has no address.", hint="Run `strata up`, or set STRATA_QDRANT__URL."
        )
    key = settings.api_key
    secure = settings.url.startswith("https:")
    client = AsyncQdrantClient(
        settings.url,
        # Over plain HTTP the client warns about a key sent in clear text; on loopback that is
        # meant.
        headers=None if key is None or secure else {"api-key": key.get_secret_value()},
        api_key=key.get_secret_value() if key is not None and secure else None,
        timeout=30,
        check_compatibility=False,
    )
    try:
        yield VectorStore(client, settings)
    finally:
        await client.close()


@contextmanager
def _speaking() -> Iterator[None]:
    """Whatever the client raises in here means that Qdrant is not available."""
    try:
        yield
    except _FAILURES as error:
        raise _unavailable(error) from error


def _unavailable(error: BaseException) -> StoreUnavailable:
    status = getattr(error, "status_code", "")
    return StoreUnavailable(
        f"Qdrant failed: {type(error).__name__} {status}".rstrip() + ".",
        hint="Check STRATA_QDRANT__URL.",
    )
