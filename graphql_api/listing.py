"""One page of one kind, as every list of the API gives it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from graphql_api.context import Context
from graphql_api.pagination import Connection, connect, page_size
from models.scope import Scope
from models.stored import Stored

M = TypeVar("M", bound=Stored)
T = TypeVar("T")


async def list_page(
    context: Context,
    model: type[M],
    wrap: Callable[[M], T],
    *,
    kind: str,
    match: Mapping[str, Any] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    newest_first: bool = False,
    scope: Scope | None = None,
) -> Connection[T]:
    """Read a page within the caller's namespace; `kind` names the list and its filter."""
    scope, cursors = scope or context.scope, context.services.cursors
    size, from_back = page_size(first, last)
    page = await scope.page(
        model,
        match,
        limit=size,
        after=None if after is None else cursors.read(kind, scope.namespace_id, after),
        before=None
        if before is None
        else cursors.read(kind, scope.namespace_id, before, path="before"),
        last=from_back,
        newest_first=newest_first,
    )
    return connect(
        page,
        wrap,
        cursor=lambda item_id: cursors.write(kind, scope.namespace_id, item_id),
        count=lambda: scope.count(model, match),
    )
