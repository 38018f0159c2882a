"""Pages of objects: by id, or in the order of a field."""

import hashlib

from graphql_api.buckets.types import Object, show_object
from graphql_api.context import Context
from graphql_api.directions import OrderDirection
from graphql_api.idempotency import fingerprint
from graphql_api.listing import list_page
from graphql_api.objects.inputs import ObjectFilter, ObjectOrder
from graphql_api.ordered import ordered_page
from graphql_api.pagination import Connection
from models.object import Object as ObjectModel
from workers.object_lists import object_order, select_objects


async def list_objects(
    context: Context,
    bucket_id: str,
    *,
    filter: ObjectFilter | None,
    order_by: ObjectOrder | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Connection[Object]:
    """Read a page of a bucket's objects.

    Raises:
        InvalidInput: the filter or the order makes no sense.
        InvalidCursor: the cursor is of another list.
    """
    kind, match = f"objects:{bucket_id}", {"bucket_id": bucket_id}
    if filter is not None or order_by is not None:
        asked = fingerprint([filter, order_by])
        kind = f"{kind}:{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
        match = await select_objects(context.scope, (filter or ObjectFilter()).selection(bucket_id))
    if order_by is None:
        return await list_page(
            context, ObjectModel, show_object, kind=kind, match=match,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
    descending = order_by.direction == OrderDirection.DESC
    order = await object_order(context.scope, bucket_id, order_by.field, descending=descending)
    return await ordered_page(
        context, ObjectModel, show_object, kind=kind, match=match, order=order,
        first=first, after=after, last=last, before=before,
    )  # fmt: skip
