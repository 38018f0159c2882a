"""What a client asks a search, and what it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.document import Document
from models.filters import Filter
from models.vector_search import Fusion


@dataclass(frozen=True)
class Question:
    """What documents are compared with: exactly one of the five."""

    text: str | None = None
    vector: Sequence[float] | None = None
    sparse: tuple[Sequence[int], Sequence[float]] | None = None
    multi: Sequence[Sequence[float]] | None = None
    document_id: str | None = None


@dataclass(frozen=True)
class WantedVector:
    """A vector to search by: of every collection in question that has it."""

    feature: str | None = None  # strata://<extractor>@<version>/<vector>
    name: str | None = None
    weight: float = 1.0
    question: Question | None = None  # instead of the request's


@dataclass(frozen=True)
class SearchRequest:
    """A search: exactly one of the first three says where; no vectors mean each one's first."""

    question: Question
    collection_id: str | None = None
    collection_ids: Sequence[str] | None = None
    bucket_id: str | None = None
    vectors: Sequence[WantedVector] = field(default_factory=tuple)
    fusion: Fusion = Fusion.RRF
    accept: Filter | None = None
    min_score: float | None = None
    limit: int = 10
    offset: int = 0
    per_object: int | None = None


@dataclass(frozen=True)
class Found:
    """A document and how near it is."""

    score: float
    document: Document


@dataclass(frozen=True)
class FoundObject:
    """An object, and its nearest documents."""

    object_id: str
    score: float
    found: list[Found]
