"""Queries of documents."""

import time
from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.documents.inputs import DocumentFilter, DocumentOrder, SearchQueryInput
from graphql_api.documents.listing import list_documents
from graphql_api.documents.searching import search_collection
from graphql_api.documents.types import (
    Document,
    FacetValue,
    SearchDocumentsPayload,
    SearchHit,
    show_document,
)
from graphql_api.errors import user_error
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last, page_size
from graphql_api.scalars import JSON, BigInt
from models.document import Document as DocumentModel
from models.errors import StrataError
from workers.documents import count_facet

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
            info.context, collection_id, filter=filter, order_by=order_by,
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
        selection = (filter or DocumentFilter()).selection(collection_id)
        found = await count_facet(info.context.scope, selection, field, limit=limit)
        return [FacetValue(value=JSON(one.value), count=BigInt(one.count)) for one in found]

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

    @strawberry.field(description="The documents of a collection nearest to a text or a vector.")
    async def search_documents(
        self,
        info: Info,
        collection_id: CollectionId,
        query: Annotated[SearchQueryInput, strawberry.argument(description="What to look for.")],
        first: Annotated[int, strawberry.argument(description="How many hits; 1 to 100.")] = 10,
    ) -> SearchDocumentsPayload | None:
        """Search documents."""
        started = time.perf_counter()
        try:
            limit, _ = page_size(first, None)
            found = await search_collection(
                info.context,
                collection_id,
                text=None if query.text is None else query.text.value,
                vector=None if query.vector is None else query.vector.value,
                limit=limit,
            )
        except StrataError as error:
            return SearchDocumentsPayload(
                hits=[], took_ms=_since(started), user_errors=[user_error(error)]
            )
        hits = [SearchHit(score=score, document=show_document(one)) for score, one in found]
        return SearchDocumentsPayload(hits=hits, took_ms=_since(started), user_errors=[])


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
