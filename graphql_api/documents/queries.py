"""Queries of documents."""

import time
from typing import Annotated

import strawberry

from graphql_api.collections.inputs import FilterInput
from graphql_api.context import Info
from graphql_api.documents.inputs import (
    DocumentFilter,
    DocumentOrder,
    SearchQueryInput,
    SearchVectorInput,
)
from graphql_api.documents.listing import list_documents, list_facet
from graphql_api.documents.types import (
    AnswerCache,
    Document,
    FacetValue,
    SearchDocumentsPayload,
    show_counts,
    show_document,
    show_failed_search,
    show_search,
)
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last, page_size
from graphql_api.scalars import JSON, BigInt
from models.document import Document as DocumentModel
from models.errors import StrataError
from models.vector_search import Fusion
from workers.searching import SearchRequest, recall_search

CollectionId = Annotated[strawberry.ID, strawberry.argument(description="Id of the collection.")]
Filter = Annotated[
    DocumentFilter | None, strawberry.argument(description="Which documents; all if none.")
]


@strawberry.type
class DocumentQuery:
    """What there is to read of documents."""

    @strawberry.field(description="One document, or null.")
    async def document(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the document.")],
    ) -> Document | None:
        """Return a document."""
        found = await info.context.scope.find(DocumentModel, id)
        return None if found is None else show_document(found)

    @strawberry.field(
        description="A collection's documents, in the order of their ids or of a field."
    )
    async def documents(
        self,
        info: Info,
        collection_id: CollectionId,
        filter: Filter = None,
        order_by: Annotated[
            DocumentOrder | None, strawberry.argument(description="By which field; by id if none.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Document] | None:
        """List documents."""
        return await list_documents(
            info, collection_id, filter=filter, order_by=order_by,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(
        description="The most frequent values of a field among a collection's documents, most "
        "frequent first. Texts, numbers and booleans count; in a list, each of its items."
    )
    async def document_facets(
        self,
        info: Info,
        collection_id: CollectionId,
        field: Annotated[
            str, strawberry.argument(description="Dotted path in the document's fields.")
        ],
        filter: Filter = None,
        first: Annotated[int, strawberry.argument(description="How many values; 1 to 100.")] = 20,
    ) -> list[FacetValue] | None:
        """Count values."""
        limit, _ = page_size(first, None)
        found = await list_facet(info, collection_id, filter or DocumentFilter(), field, limit)
        return [FacetValue(value=JSON(one.value), count=BigInt(one.count)) for one in found]

    @strawberry.field(
        description="How often the namespace's searches, facets and filtered or ordered lists of "
        "documents were answered from the cache. Each answer says so in `extensions.cache`; send "
        '`"extensions": {"cache": false}` to have it computed anew.'
    )
    async def answer_cache(self, info: Info) -> AnswerCache | None:
        """Return what was counted."""
        answers = info.context.answers
        return show_counts(await answers.cache.read_counts(answers.scope.namespace_id))

    @strawberry.field(
        description="Every document made of an object, of any tier, in the order of their ids."
    )
    async def object_documents(
        self,
        info: Info,
        object_id: Annotated[strawberry.ID, strawberry.argument(description="Id of the object.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Document] | None:
        """List an object's documents."""
        return await list_page(
            info.context, DocumentModel, show_document, kind=f"object_documents:{object_id}",
            match={"object_id": object_id}, first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(
        description="The documents nearest to a text, a vector or a document: of a collection, of "
        "several, or of all that come of a bucket. Several vectors are fused (hybrid search); "
        "without `vectors` each collection's first one is searched."
    )
    async def search_documents(
        self,
        info: Info,
        query: Annotated[SearchQueryInput, strawberry.argument(description="What to look for.")],
        collection_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Search one collection.")
        ] = None,
        collection_ids: Annotated[
            list[strawberry.ID] | None, strawberry.argument(description="Search several.")
        ] = None,
        bucket_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Search whatever reads a bucket, and reads that."),
        ] = None,
        vectors: Annotated[
            list[SearchVectorInput] | None, strawberry.argument(description="Which vectors.")
        ] = None,
        fusion: Annotated[
            Fusion, strawberry.argument(description="How rankings are fused.")
        ] = Fusion.RRF,
        filter: Annotated[
            FilterInput | None,
            strawberry.argument(description="On the documents' fields, and `object_id`."),
        ] = None,
        min_score: Annotated[
            float | None, strawberry.argument(description="Leave out what scores less.")
        ] = None,
        hits_per_object: Annotated[
            int | None,
            strawberry.argument(description="Group by object: so many hits of each; 1 to 20."),
        ] = None,
        first: Annotated[
            int, strawberry.argument(description="How many hits, or objects; 1 to 100.")
        ] = 10,
        offset: Annotated[
            int, strawberry.argument(description="How many to pass over; 0 to 1000.")
        ] = 0,
    ) -> SearchDocumentsPayload | None:
        """Search documents."""
        started = time.perf_counter()
        context = info.context
        try:
            limit, _ = page_size(first, None)
            request = SearchRequest(
                question=query.question(),
                collection_id=collection_id,
                collection_ids=collection_ids,
                bucket_id=bucket_id,
                vectors=[one.wanted() for one in vectors or []],
                fusion=fusion,
                accept=None if filter is None else filter.tree(),
                min_score=min_score,
                limit=limit,
                offset=offset,
                per_object=hits_per_object,
            )
            recalled = await recall_search(
                context.answers, context.stores, context.services.encoder, request
            )
            found = context.note(info, recalled)
        except StrataError as error:
            return show_failed_search(error, took_ms=_since(started))
        return show_search(found, grouped=hits_per_object is not None, took_ms=_since(started))


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
