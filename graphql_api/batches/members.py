"""The objects of a batch, a page at a time."""

from collections.abc import Callable
from typing import TypeVar

from graphql_api.context import Context
from graphql_api.pagination import Connection, connect, page_size
from models.batch_member import BatchMember
from models.object import Object
from models.scope import Page

T = TypeVar("T")


async def list_members(
    context: Context,
    batch_id: str,
    wrap: Callable[[Object], T],
    *,
    first: int,
    after: str | None,
) -> Connection[T]:
    """Read a page of a batch's objects."""
    scope, cursors = context.scope, context.services.cursors
    size, _ = page_size(first, None)
    kind, match = f"members:{batch_id}", {"batch_id": batch_id}
    position = None if after is None else cursors.read(kind, scope.namespace_id, after)
    page = await scope.page(BatchMember, match, limit=size, after=_member_id(batch_id, position))
    ids = [member.object_id for member in page.items]
    found = await scope.find_many(Object, ids)
    there = [found[object_id] for object_id in ids if object_id in found]

    def cursor(object_id: str) -> str:
        return cursors.write(kind, scope.namespace_id, object_id)

    connection = connect(
        Page(there, page.has_previous, page.has_next),
        wrap,
        cursor=cursor,
        count=lambda: scope.count(BatchMember, match),
    )
    if ids:  # deleted objects are left out, but the list goes on behind them
        connection.page_info.end_cursor = cursor(ids[-1])
    return connection


def _member_id(batch_id: str, object_id: str | None) -> str | None:
    return None if object_id is None else f"{batch_id}/{object_id}"
