"""`node` and `nodes`: anything with an id, by its id alone.

Every type that implements Node has a row in KINDS, under the prefix of its ids. Unknown, foreign
and forbidden read the same: null.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, get_args

import strawberry

from graphql_api.admin.audit import show_entry
from graphql_api.admin.keys import show_key
from graphql_api.admin.types import show_namespace
from graphql_api.batches.row_errors import show_row_error
from graphql_api.batches.types import show_batch
from graphql_api.buckets.types import show_bucket, show_object
from graphql_api.collections.types import show_collection
from graphql_api.context import Context, Info
from graphql_api.documents.types import show_document
from graphql_api.node import Node
from graphql_api.rights import shows
from graphql_api.schedules.types import show_schedule
from graphql_api.tasks.line_errors import show_line_error
from graphql_api.tasks.types import show_task
from graphql_api.uploads.types import show_upload
from graphql_api.webhooks.types import show_delivery, show_webhook
from models.api_key import ApiKey
from models.audit import AuditEntry
from models.batch import Batch
from models.bucket import Bucket
from models.collection import Collection
from models.delivery import Delivery
from models.document import Document
from models.errors import InvalidInput
from models.ids import Prefix, is_id
from models.line_error import LineError
from models.namespace import Namespace
from models.object import Object
from models.row_error import RowError
from models.schedule import Schedule
from models.scope import Scope
from models.task import Task
from models.upload import Upload
from models.webhook import Webhook

MAX_IDS: Final = 100
_DOCUMENT: Final = "document"  # whose ids are UUIDs
_PREFIXES: Final[tuple[Prefix, ...]] = get_args(Prefix)
# Prefix of the ids: model, and how it is shown. Each is found within the caller's namespace.
KINDS: Final[dict[str, tuple[type[Any], Callable[[Any], Node]]]] = {
    "aud": (AuditEntry, show_entry),
    "bkt": (Bucket, show_bucket),
    "btc": (Batch, show_batch),
    "col": (Collection, show_collection),
    "dlv": (Delivery, show_delivery),
    "err": (RowError, show_row_error),
    "key": (ApiKey, show_key),
    "lin": (LineError, show_line_error),
    "ns": (Namespace, show_namespace),
    "obj": (Object, show_object),
    "sch": (Schedule, show_schedule),
    "tsk": (Task, show_task),
    "whk": (Webhook, show_webhook),
    "upl": (Upload, show_upload),
    _DOCUMENT: (Document, show_document),
}


@strawberry.type
class NodeQuery:
    """Things by their ids."""

    @strawberry.field(description="Anything with an id; null when there is none here.")
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id, of any type.")],
    ) -> Node | None:
        """Return one thing."""
        return (await _load(info.context, [id], path="id"))[0]

    @strawberry.field(
        description="Things by their ids, at most 100, in the order asked for; null for each that "
        "is not here."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="Their ids, of any types.")
        ],
    ) -> list[Node | None] | None:
        """Return many things, by one database call a type."""
        if len(ids) > MAX_IDS:
            raise InvalidInput(f"{len(ids)} ids; at most {MAX_IDS}.", path=("ids",))
        return await _load(info.context, ids, path="ids")


async def _load(context: Context, ids: Sequence[str], *, path: str) -> list[Node | None]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for item_id in ids:
        wanted[_kind(item_id, path)].append(item_id)
    found: dict[str, Node] = {}
    for kind, some in wanted.items():
        if kind in KINDS:
            model, show = KINDS[kind]
            if shows(context.principal, model.__name__):
                rows = await _find(context.scope, model, some)
                found |= {item_id: show(row) for item_id, row in rows.items()}
    return [found.get(item_id) for item_id in ids]


def _kind(item_id: str, path: str) -> str:
    """Return what kind of thing an id names; raises InvalidInput for what is no id."""
    prefix = item_id.partition("_")[0]
    for known in _PREFIXES:
        if prefix == known and is_id(item_id, known):
            return prefix
    try:
        if str(uuid.UUID(item_id)) == item_id:
            return _DOCUMENT
    except ValueError:
        pass
    raise InvalidInput("That is no id of anything here.", path=(path,))


async def _find(scope: Scope, model: type[Any], ids: Sequence[str]) -> dict[str, Any]:
    if model is not Namespace:
        return await scope.find_many(model, ids)
    own = await Namespace.get(scope.namespace_id) if scope.namespace_id in ids else None
    return {} if own is None else {own.id: own}
