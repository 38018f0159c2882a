"""Pages of documents: by id, or in the order of a field; and how often values occur.

A page by id without a filter is one read along an index, as cheap as the signature's. All else is
given again from the cache for as long as the collection is unchanged.
"""

import hashlib
from typing import Any

from graphql_api.context import Info
from graphql_api.directions import OrderDirection
from graphql_api.documents.inputs import DocumentFilter, DocumentOrder
from graphql_api.documents.types import Document, show_document
from graphql_api.idempotency import fingerprint
from graphql_api.listing import list_page
from graphql_api.ordered import ordered_page
from graphql_api.pagination import Connection, Edge, PageInfo
from models.document import Document as DocumentModel
from models.scope import Scope
from workers.caches import Form, Row, read_document
from workers.documents import FacetValue, count_facet, document_order, select_documents

_COUNT: Form[int] = Form("count", lambda count: {"count": count}, lambda row: int(row["count"]))
_FACET: Form[list[FacetValue]] = Form(
    "facet",
    lambda found: {"values": [[one.value, one.count] for one in found]},
    lambda row: [FacetValue(value, count) for value, count in row["values"]],
)
Models = Connection[DocumentModel]


async def list_documents(
    info: Info,
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
    context, page = info.context, {"first": first, "after": after, "last": last, "before": before}
    if filter is None and order_by is None:
        return await list_page(
            context, DocumentModel, show_document, kind=f"documents:{collection_id}",
            match={"collection_id": collection_id}, first=first, after=after, last=last,
            before=before,
        )  # fmt: skip
    chosen = filter or DocumentFilter()
    question = [collection_id, fingerprint([chosen, order_by])]
    found = await context.recall(
        info,
        _page_form(context.scope),
        [*question, page],
        collection_id,
        lambda: _read(info, collection_id, chosen, order_by, page),
    )

    async def count() -> int:
        match = await select_documents(context.scope, chosen.selection(collection_id))
        return await context.scope.count(DocumentModel, match)

    return Connection(
        edges=[Edge(cursor=one.cursor, node=show_document(one.node)) for one in found.edges],
        page_info=found.page_info,
        count=lambda: context.recall(info, _COUNT, question, collection_id, count),
    )


async def list_facet(
    info: Info, collection_id: str, filter: DocumentFilter, field: str, limit: int
) -> list[FacetValue]:
    """Return the most frequent values of a field."""
    scope, selection = info.context.scope, filter.selection(collection_id)
    question = [collection_id, fingerprint(filter), field, limit]
    return await info.context.recall(
        info,
        _FACET,
        question,
        collection_id,
        lambda: count_facet(scope, selection, field, limit=limit),
    )


async def _read(
    info: Info,
    collection_id: str,
    chosen: DocumentFilter,
    order_by: DocumentOrder | None,
    page: dict[str, Any],
) -> Models:
    context = info.context
    match = await select_documents(context.scope, chosen.selection(collection_id))
    kind = _kind(collection_id, chosen, order_by)
    if order_by is None:
        return await list_page(
            context, DocumentModel, lambda one: one, kind=kind, match=match, **page
        )
    order = await document_order(
        context.scope,
        collection_id,
        order_by.field,
        descending=order_by.direction == OrderDirection.DESC,
    )
    return await ordered_page(
        context, DocumentModel, lambda one: one, kind=kind, match=match, order=order, **page
    )


def _kind(collection_id: str, chosen: DocumentFilter, order_by: DocumentOrder | None) -> str:
    """Return what tells this list's cursors from another's."""
    if chosen == DocumentFilter() and order_by is None:
        return f"documents:{collection_id}"
    asked = fingerprint([chosen, order_by])
    return f"documents:{collection_id}:{hashlib.sha256(asked.encode()).hexdigest()[:16]}"


def _page_form(scope: Scope) -> Form[Models]:
    return Form("documents", _pack, lambda row: _unpack(scope, row))


def _pack(page: Models) -> Row:
    return {
        "edges": [[one.cursor, one.node.to_mongo()] for one in page.edges],
        "info": vars(page.page_info),
    }


def _unpack(scope: Scope, row: Row) -> Models:
    edges = [Edge(cursor=cursor, node=read_document(scope, one)) for cursor, one in row["edges"]]
    return Connection(edges=edges, page_info=PageInfo(**row["info"]), count=_uncounted)


async def _uncounted() -> int:
    raise NotImplementedError("The count of a page that was kept is recalled by itself.")
