"""Queries of documents."""

import time
from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.documents.inputs import SearchQueryInput
from graphql_api.documents.searching import search_collection
from graphql_api.documents.types import (
    Document,
    SearchDocumentsPayload,
    SearchHit,
    show_document,
)
from graphql_api.errors import user_error
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last, page_size
from models.document import Document as DocumentModel
from models.errors import StrataError

CollectionId = Annotated[strawberry.ID, strawberry.argument(description="Id of the collection.")]


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

    @strawberry.field(description="A collection's documents, in the order of their ids.")
    async def documents(
        self,
        info: Info,
        collection_id: CollectionId,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Document] | None:
        """List documents."""
        return await list_page(
            info.context, DocumentModel, show_document, kind=f"documents:{collection_id}",
            match={"collection_id": collection_id},
            first=first, after=after, last=last, before=before,
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
