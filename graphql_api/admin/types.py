"""Types of namespaces."""

import strawberry

from graphql_api.context import Info
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import DateTime
from graphql_api.tasks.types import Task
from models import audit, delivery
from models.namespace import Namespace as NamespaceModel


@strawberry.type(description="How long is kept what is removed by its age.")
class Retention:
    """Retention as shown."""

    event_days: float = strawberry.field(
        description="Days that the log of events goes back. Changes of batches' status stay, and "
        "so does every event of a batch that has not ended."
    )
    longest_event_days: float = strawberry.field(description="The most that eventDays may be.")
    delivery_days: int = strawberry.field(description="Days of deliveries to webhooks.")
    audit_days: int = strawberry.field(description="Days of the audit log.")


@strawberry.type(description="The boundary of isolation: everything else lives in one.")
class Namespace(Node):
    """A namespace as shown."""

    model: strawberry.Private[NamespaceModel]
    name: str = strawberry.field(description="Unique in the deployment.")
    description: str = strawberry.field(description="Free text.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    deletion_task_id: strawberry.ID | None = strawberry.field(
        description="Task of its deletion while that is under way."
    )

    @strawberry.field(description="How long things are kept in it.")
    def retention(self, info: Info) -> Retention:
        """Return what holds here: its own settings within the operator's."""
        longest = info.context.stores.settings.worker.event_days
        return Retention(
            event_days=self.model.kept_days(longest),
            longest_event_days=longest,
            delivery_days=delivery.KEPT_DAYS,
            audit_days=audit.KEPT_DAYS,
        )


def show_namespace(model: NamespaceModel) -> Namespace:
    """Return a namespace as shown."""
    return Namespace(
        id=strawberry.ID(model.id),
        model=model,
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
