"""Inputs of reading and searching documents."""

import strawberry

from graphql_api.collections.inputs import FilterInput
from graphql_api.directions import OrderDirection
from graphql_api.enums import show_enum
from models.vector_search import Fusion
from workers.documents import DocumentSelection
from workers.searching import Question, WantedVector

show_enum(
    Fusion,
    "How the rankings of several vectors become one.",
    {
        Fusion.RRF: "By places, from 0: the sum of 1 / (1 + (place + 1) / weight), "
        "whatever the scores mean.",
        Fusion.DBSF: "By scores, the spread of each ranking evened out. Takes no weights.",
    },
)


@strawberry.input(description="Terms and their weights, as many of the one as of the other.")
class SparseVectorInput:
    """A query by a sparse vector."""

    indices: list[int] = strawberry.field(description="Numbers of the terms, each once.")
    values: list[float] = strawberry.field(description="Their weights.")


@strawberry.input(one_of=True, description="What to search for: exactly one of the five.")
class SearchQueryInput:
    """A query by text, by vector, or by a document."""

    text: strawberry.Maybe[str] = strawberry.field(
        description="Embedded as the collection's documents are."
    )
    vector: strawberry.Maybe[list[float]] = strawberry.field(
        description="As many numbers as the collection's vector has; for dense vectors."
    )
    sparse_vector: strawberry.Maybe[SparseVectorInput] = strawberry.field(
        description="For sparse vectors."
    )
    multi_vector: strawberry.Maybe[list[list[float]]] = strawberry.field(
        description="A vector of each token; for multi vectors."
    )
    document_id: strawberry.Maybe[strawberry.ID] = strawberry.field(
        description="More like this document, which is left out itself."
    )

    def question(self) -> Question:
        """Return the plain form."""
        sparse = self.sparse_vector.value if self.sparse_vector else None
        return Question(
            text=self.text.value if self.text else None,
            vector=self.vector.value if self.vector else None,
            sparse=None if sparse is None else (sparse.indices, sparse.values),
            multi=self.multi_vector.value if self.multi_vector else None,
            document_id=self.document_id.value if self.document_id else None,
        )


@strawberry.input(
    description="A vector to search by: of every collection in question that has it. Exactly one "
    "of `feature` and `name`."
)
class SearchVectorInput:
    """Input for a vector."""

    feature: str | None = strawberry.field(
        default=None, description="Its feature URI, `strata://<extractor>@<version>/<vector>`."
    )
    name: str | None = strawberry.field(default=None, description="Its name.")
    weight: float = strawberry.field(default=1.0, description="How much it counts; for `RRF`.")
    query: SearchQueryInput | None = strawberry.field(
        default=None, description="What it is compared with, instead of the search's `query`."
    )

    def wanted(self) -> WantedVector:
        """Return the plain form."""
        question = None if self.query is None else self.query.question()
        return WantedVector(self.feature, self.name, self.weight, question)


@strawberry.input(description="Which documents; every part that is given must fit.")
class DocumentFilter:
    """Filter of documents."""

    object_id: strawberry.ID | None = strawberry.field(
        default=None, description="Made of this object, directly or not."
    )
    batch_id: strawberry.ID | None = strawberry.field(
        default=None, description="Last written by this batch."
    )
    where: FilterInput | None = strawberry.field(
        default=None,
        description="Whose fields fit. A list fits when one of its items does.",
    )

    def selection(self, collection_id: str) -> DocumentSelection:
        """Return the workers' form."""
        return DocumentSelection(
            collection_id,
            object_id=self.object_id,
            batch_id=self.batch_id,
            where=self.where.tree() if self.where else None,
        )


@strawberry.input(
    description="The order of documents: numbers, then texts, then booleans; what has none of "
    "these comes last in either direction. Equal values go by id."
)
class DocumentOrder:
    """Order of documents."""

    field: str = strawberry.field(description="Dotted path in the document's fields.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="In which direction."
    )
