"""Pages of documents: by id, or by a field; a cursor holds what the order goes by."""

import hashlib
import json
from typing import Any

from graphql_api.context import Context
from graphql_api.documents.inputs import DocumentFilter, DocumentOrder, OrderDirection
from graphql_api.documents.types import Document, show_document
from graphql_api.idempotency import fingerprint
from graphql_api.listing import list_page
from graphql_api.pagination import Connection, Edge, PageInfo, page_size
from models.document import Document as DocumentModel
from models.errors import InvalidCursor
from models.ordering import Order, Position, read_ordered_page
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
    return await _ordered_page(
        context, match, order, kind=kind, first=first, after=after, last=last, before=before
    )


def _kind(collection_id: str, chosen: DocumentFilter, order_by: DocumentOrder | None) -> str:
    """Return what tells this list's cursors from another's."""
    if chosen == DocumentFilter() and order_by is None:
        return f"documents:{collection_id}"
    asked = fingerprint([chosen, order_by])
    return f"documents:{collection_id}:{hashlib.sha256(asked.encode()).hexdigest()[:16]}"


async def _ordered_page(
    context: Context,
    match: dict[str, Any],
    order: Order,
    *,
    kind: str,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Connection[Document]:
    size, from_back = page_size(first, last)
    page = await read_ordered_page(
        context.scope,
        DocumentModel,
        match,
        order,
        limit=size,
        after=_read(context, kind, after, "after"),
        before=_read(context, kind, before, "before"),
        last=from_back,
    )
    edges = [
        Edge(cursor=_write(context, kind, order, item), node=show_document(item))
        for item in page.items
    ]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        count=lambda: context.scope.count(DocumentModel, match),
    )


def _write(context: Context, kind: str, order: Order, item: DocumentModel) -> str:
    value: Any = {"fields": item.fields}
    for part in order.path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict | list):
        value = None
    position = json.dumps([value, item.id])
    return context.services.cursors.write(kind, context.scope.namespace_id, position)


def _read(context: Context, kind: str, cursor: str | None, path: str) -> Position | None:
    if cursor is None:
        return None
    text = context.services.cursors.read(kind, context.scope.namespace_id, cursor, path=path)
    try:
        value, item_id = json.loads(text)
    except ValueError as error:
        raise InvalidCursor("The cursor does not belong to this list.", path=(path,)) from error
    return Position(value, item_id)
