"""From a question to what Qdrant compares with: numbers are checked, texts are embedded."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.nets.errors import NetError
from engine.queries import QueryEncoder
from models.collection import Collection
from models.document import Document
from models.errors import ExtractorUnavailable, InvalidInput
from models.fields import VectorField, VectorKind
from models.points import Floats, QueryVector, SparseVector
from models.scope import Scope
from models.vector_search import Neighbour, VectorQuery
from workers.names import require_text
from workers.searching.request import Question
from workers.searching.targets import Target, Where

_MAX_TEXT: Final = 32_768  # characters; nets read some hundreds of tokens
_MAX_TERMS: Final = 10_000
_MAX_TOKENS: Final = 1_024
_LARGEST_TERM: Final = 2**32 - 1
_LARGEST: Final = float(np.finfo(np.float32).max)


async def ask(scope: Scope, encoder: QueryEncoder, target: Target) -> VectorQuery:
    """Return a target's question in Qdrant's terms.

    Raises:
        NotFound: the document to be compared with is not there.
        InvalidInput: the question does not fit the vector.
        ExtractorUnavailable: the net that would embed it is not on this machine.
    """
    nearest = await _nearest(scope, encoder, target)
    return VectorQuery(target.vector.name, nearest, target.weight)


async def _nearest(scope: Scope, encoder: QueryEncoder, target: Target) -> QueryVector | Neighbour:
    asked, vector, where = target.question, target.vector, target.where
    if asked.text is not None:
        return await _encoded(encoder, target.collection, vector, asked.text, where)
    if asked.document_id is not None:
        return await _neighbour(scope, target, asked.document_id)
    return _given(asked, vector, where)


async def _encoded(
    encoder: QueryEncoder, collection: Collection, vector: VectorField, text: str, where: Where
) -> QueryVector:
    _require_query(text, (*where, "text"))
    try:
        return await encoder.encode(collection.extractor, text, vector.name)
    except NetError as error:
        raise ExtractorUnavailable(str(error), hint=error.hint) from error
    except NotImplementedError as error:
        raise InvalidInput(
            f"{collection.extractor.label} does not embed texts.",
            path=(*where, "text"),
            hint="Search by vector, or by a document.",
        ) from error


def _require_query(text: str, path: Where) -> None:
    require_text(text, path=path)
    if not text.strip():
        raise InvalidInput("The query is empty.", path=path)
    if len(text) > _MAX_TEXT:
        raise InvalidInput(f"A query has at most {_MAX_TEXT} characters.", path=path)


async def _neighbour(scope: Scope, target: Target, document_id: str) -> Neighbour:
    where = (*target.where, "documentId")
    document = await scope.require(Document, document_id, path=where)
    home = await scope.require(Collection, document.collection_id, path=where)
    same_net = home.id == target.collection.id or (
        home.extractor == target.collection.extractor and target.vector in home.vectors
    )
    if not same_net:
        raise InvalidInput(
            f"The document's collection {home.name!r} makes no {target.vector.name!r} as "
            f"{target.collection.name!r} does.",
            path=where,
            hint="Choose vectors that both have, by the same extractor and parameters.",
        )
    return Neighbour(document.id, home.id)


def _given(asked: Question, vector: VectorField, where: Where) -> QueryVector:
    forms = {
        VectorKind.DENSE: ("vector", asked.vector),
        VectorKind.SPARSE: ("sparseVector", asked.sparse),
        VectorKind.MULTI: ("multiVector", asked.multi),
    }
    name, _ = forms[vector.kind]
    given = next(name for name, value in forms.values() if value is not None)
    if given != name:
        raise InvalidInput(
            f"Vector {vector.name!r} is {vector.kind}; ask with `{name}`.", path=(*where, given)
        )
    path = (*where, name)
    if asked.sparse is not None:
        return _sparse(*asked.sparse, path)
    if asked.multi is not None:
        return _multi(asked.multi, vector, path)
    return _dense(asked.vector or [], vector, path)


def _dense(numbers: Sequence[float], vector: VectorField, path: Where) -> Floats:
    if len(numbers) != vector.dimension:
        raise InvalidInput(f"The collection's vectors have {vector.dimension} numbers.", path=path)
    if not all(math.isfinite(number) for number in numbers) or not any(numbers):
        raise InvalidInput("The vector must be finite and not all zero.", path=path)
    chosen = _unit(numbers) if vector.distance == "cosine" else numbers
    if max(abs(number) for number in chosen) > _LARGEST:
        raise InvalidInput("The vector has a number beyond 32 bits.", path=path)
    return np.array(chosen, dtype=np.float32)


def _multi(rows: Sequence[Sequence[float]], vector: VectorField, path: Where) -> Floats:
    if not 0 < len(rows) <= _MAX_TOKENS:
        raise InvalidInput(f"A multi vector has 1 to {_MAX_TOKENS} vectors.", path=path)
    return np.stack([_dense(row, vector, (*path, str(place))) for place, row in enumerate(rows)])


def _sparse(indices: Sequence[int], values: Sequence[float], path: Where) -> SparseVector:
    if len(indices) != len(values) or not 0 < len(indices) <= _MAX_TERMS:
        raise InvalidInput(
            f"A sparse vector has 1 to {_MAX_TERMS} terms, and a value for each.", path=path
        )
    if len(set(indices)) < len(indices) or not all(0 <= one <= _LARGEST_TERM for one in indices):
        raise InvalidInput(
            f"Terms are numbers from 0 to {_LARGEST_TERM}, each given once.",
            path=(*path, "indices"),
        )
    if not all(abs(number) <= _LARGEST for number in values):
        raise InvalidInput("The values must be finite.", path=(*path, "values"))
    return SparseVector(np.array(indices, np.uint32), np.array(values, np.float32))


def _unit(vector: Sequence[float]) -> list[float]:
    """Return the direction alone: very large or small numbers would overflow in 32 bits."""
    largest = max(abs(number) for number in vector)
    scaled = [number / largest for number in vector]
    length = math.sqrt(math.fsum(number * number for number in scaled))
    return [number / length for number in scaled]
