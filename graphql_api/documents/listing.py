"""Pages of documents: by id, or in the order of a field."""

import hashlib
from typing import Any

from graphql_api.context import Context
from graphql_api.directions import OrderDirection
from graphql_api.documents.inputs import DocumentFilter, DocumentOrder
from graphql_api.documents.types import Document, show_document
from graphql_api.idempotency import fingerprint
from graphql_api.listing import list_page
from graphql_api.ordered import ordered_page
from graphql_api.pagination import Connection
from models.document import Document as DocumentModel
from workers.documents import document_order, select_documents


async def list_documents(
    context: Context,
    collection_id: str,
    *,
    filter: DocumentFilter | None,
    order_by: DocumentOrder | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Connection[Document]:
    """Read a page of a collection's documents.

    Raises:
        InvalidInput: the filter or the order makes no sense.
        InvalidCursor: the cursor is of another list.
    """
    chosen = filter or DocumentFilter()
    if filter is None and order_by is None:
        match: dict[str, Any] = {"collection_id": collection_id}
    else:
        match = await select_documents(context.scope, chosen.selection(collection_id))
    kind = _kind(collection_id, chosen, order_by)
    if order_by is None:
        return await list_page(
            context, DocumentModel, show_document, kind=kind, match=match,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
    order = await document_order(
        context.scope,
        collection_id,
        order_by.field,
        descending=order_by.direction == OrderDirection.DESC,
    )
    return await ordered_page(
        context, DocumentModel, show_document, kind=kind, match=match, order=order,
        first=first, after=after, last=last, before=before,
    )  # fmt: skip


def _kind(collection_id: str, chosen: DocumentFilter, order_by: DocumentOrder | None) -> str:
    """Return what tells this list's cursors from another's."""
    if chosen == DocumentFilter() and order_by is None:
        return f"documents:{collection_id}"
    asked = fingerprint([chosen, order_by])
    return f"documents:{collection_id}:{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
