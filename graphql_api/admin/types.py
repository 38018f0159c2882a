"""Types of namespaces."""

import strawberry

from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import DateTime
from graphql_api.tasks.types import Task
from models.namespace import Namespace as NamespaceModel


@strawberry.type(description="The boundary of isolation: everything else lives in one.")
class Namespace(Node):
    """A namespace as shown."""

    name: str = strawberry.field(description="Unique in the deployment.")
    description: str = strawberry.field(description="Free text.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    deletion_task_id: strawberry.ID | None = strawberry.field(
        description="Task of its deletion while that is under way."
    )


def show_namespace(model: NamespaceModel) -> Namespace:
    """Return a namespace as shown."""
    return Namespace(
        id=strawberry.ID(model.id),
        name=model.name,
        description=model.description,
        created_at=DateTime(model.created_at),
        deletion_task_id=None
        if model.deletion_task_id is None
        else strawberry.ID(model.deletion_task_id),
    )


@strawberry.type(description="Answer to createNamespace.")
class CreateNamespacePayload(Payload):
    """What came of it."""

    namespace: Namespace | None = strawberry.field(description="The new namespace.")
    api_key: str | None = strawberry.field(
        description="Its first key; shown this once, and never when `replayed`."
    )
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to updateNamespace.")
class UpdateNamespacePayload(Payload):
    """What came of it."""

    namespace: Namespace | None = strawberry.field(description="The namespace as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to deleteNamespace.")
class DeleteNamespacePayload(Payload):
    """What came of it."""

    task: Task | None = strawberry.field(
        description="What to watch. At its end the namespace's keys open nothing any more."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it is not deleted.")
