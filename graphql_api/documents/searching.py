"""Searches one collection: a vector for the query, the nearest points, the documents they name."""

import math
from typing import Final

import numpy as np

from engine.nets.errors import NetError
from graphql_api.context import Context
from models.collection import Collection
from models.document import Document
from models.errors import ExtractorUnavailable, InvalidInput, NotFound
from models.vectors import Hit
from workers.names import require_text

_MAX_TEXT: Final = 32_768  # characters; nets read some hundreds of tokens
_SPARE_HITS: Final = 10  # points whose documents are not committed, or were deleted


async def search_collection(
    context: Context,
    collection_id: str,
    *,
    text: str | None,
    vector: list[float] | None,
    limit: int,
) -> list[tuple[float, Document]]:
    """Return scores and documents, nearest first.

    Raises:
        NotFound: no such collection.
        InvalidInput: it has no vectors, or the query does not fit them.
        ExtractorUnavailable: its net is not on this machine.
        StoreUnavailable: Qdrant does not answer.
    """
    collection = await context.scope.require(Collection, collection_id, path=("collectionId",))
    if not collection.vectors:
        raise InvalidInput(
            f"Collection {collection.name!r} has no vectors to search.", path=("collectionId",)
        )
    wanted = await _vector(context, collection, text, vector)
    try:
        hits = await context.stores.vectors.search(
            collection.id, wanted, using=collection.vectors[0].name, limit=limit + _SPARE_HITS
        )
    except NotFound:
        return []
    return (await _documents(context, collection, hits))[:limit]


async def _vector(
    context: Context, collection: Collection, text: str | None, vector: list[float] | None
) -> list[float]:
    if text is not None:
        _require_query(text)
        try:
            encoded = await context.services.encoder.encode(
                collection.extractor, text, collection.vectors[0].name
            )
        except NetError as error:
            raise ExtractorUnavailable(str(error), hint=error.hint) from error
        assert isinstance(encoded, np.ndarray)  # the first vector is dense
        numbers: list[float] = encoded.tolist()
        return numbers
    field = collection.vectors[0]
    dimension = field.dimension
    if vector is None or len(vector) != dimension:
        raise InvalidInput(
            f"The collection's vectors have {dimension} numbers.", path=("query", "vector")
        )
    if not all(math.isfinite(number) for number in vector) or not any(vector):
        raise InvalidInput("The vector must be finite and not all zero.", path=("query", "vector"))
    return _unit(vector) if field.distance == "cosine" else vector


def _require_query(text: str) -> None:
    path = ("query", "text")
    require_text(text, path=path)
    if not text.strip():
        raise InvalidInput("The query is empty.", path=path)
    if len(text) > _MAX_TEXT:
        raise InvalidInput(f"A query has at most {_MAX_TEXT} characters.", path=path)


def _unit(vector: list[float]) -> list[float]:
    """Return the direction alone: very large or small numbers would overflow in 32 bits."""
    largest = max(abs(number) for number in vector)
    scaled = [number / largest for number in vector]
    length = math.sqrt(math.fsum(number * number for number in scaled))
    return [number / length for number in scaled]


async def _documents(
    context: Context, collection: Collection, hits: list[Hit]
) -> list[tuple[float, Document]]:
    found = await context.scope.find_many(Document, [hit.document_id for hit in hits])
    return [
        (hit.score, found[hit.document_id])
        for hit in hits
        if hit.document_id in found and found[hit.document_id].collection_id == collection.id
    ]
