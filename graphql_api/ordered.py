"""One page in the order of a field, as lists of the API give it; cursors hold value and id."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from graphql_api.context import Context
from graphql_api.pagination import Connection, Edge, PageInfo, page_size
from models.errors import InvalidCursor
from models.ordering import Order, Position, read_ordered_page
from models.stored import Namespaced

M = TypeVar("M", bound=Namespaced)
T = TypeVar("T")


async def ordered_page(
    context: Context,
    model: type[M],
    wrap: Callable[[M], T],
    *,
    kind: str,
    match: Mapping[str, Any],
    order: Order,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Connection[T]:
    """Read a page within the caller's namespace; `kind` names the list, its filter and order."""
    size, from_back = page_size(first, last)
    page = await read_ordered_page(
        context.scope,
        model,
        match,
        order,
        limit=size,
        after=_read(context, kind, after, "after"),
        before=_read(context, kind, before, "before"),
        last=from_back,
    )
    edges = [
        Edge(cursor=_write(context, kind, order, item), node=wrap(item)) for item in page.items
    ]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        count=lambda: context.scope.count(model, match),
    )


def _write(context: Context, kind: str, order: Order, item: Namespaced) -> str:
    head, _, rest = order.path.partition(".")
    value: Any = getattr(item, head)
    for part in rest.split(".") if rest else ():
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
