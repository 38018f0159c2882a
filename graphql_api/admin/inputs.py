"""Inputs of namespaces and keys."""

import strawberry

from graphql_api.admin.enums import KeyScope
from graphql_api.idempotency import key_field
from graphql_api.scalars import DateTime

_DAY_SECONDS = 24 * 3600
_WHOSE = "Only the deployment's admin key needs it; a key of a namespace has its own."


@strawberry.input(description="A namespace to be created.")
class CreateNamespaceInput:
    """Input of createNamespace."""

    name: str = strawberry.field(description="1 to 100 characters, unique in the deployment.")
    description: str = strawberry.field(default="", description="Free text.")
    idempotency_key: str | None = key_field()


@strawberry.input(description="What to change of a namespace.")
class UpdateNamespaceInput:
    """Input of updateNamespace."""

    namespace_id: strawberry.ID | None = strawberry.field(default=None, description=_WHOSE)
    name: str | None = strawberry.field(default=None, description="A new name; null keeps it.")
    description: str | None = strawberry.field(
        default=None, description="A new description; null keeps it."
    )
    event_days: int | None = strawberry.field(
        default=None,
        description="How many days its log goes back, from 1 to retention.longestEventDays; null "
        "keeps it. What is older is removed within hours, and is not back when the number grows.",
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A namespace to be deleted.")
class DeleteNamespaceInput:
    """Input of deleteNamespace."""

    namespace_id: strawberry.ID = strawberry.field(
        description="The namespace; required from everybody, so that none is deleted by mistake."
    )
    force: bool = strawberry.field(
        default=False, description="Whether live batches are canceled rather than in the way."
    )


@strawberry.input(description="A key to be made.")
class CreateApiKeyInput:
    """Input of createApiKey."""

    name: str = strawberry.field(description="1 to 100 characters; need not be unique.")
    scopes: list[KeyScope] = strawberry.field(description="What it may do; one at least.")
    expires_at: DateTime | None = strawberry.field(
        default=None, description="When it ends by itself; never when null."
    )
    namespace_id: strawberry.ID | None = strawberry.field(default=None, description=_WHOSE)
    idempotency_key: str | None = key_field()


@strawberry.input(description="A key to be replaced.")
class RotateApiKeyInput:
    """Input of rotateApiKey."""

    id: strawberry.ID = strawberry.field(description="The old key.")
    overlap_seconds: int = strawberry.field(
        default=_DAY_SECONDS,
        description="How long the old key still opens what it did: 0 to 604,800.",
    )
    namespace_id: strawberry.ID | None = strawberry.field(default=None, description=_WHOSE)
    idempotency_key: str | None = key_field()


@strawberry.input(description="A key to be revoked.")
class RevokeApiKeyInput:
    """Input of revokeApiKey."""

    id: strawberry.ID = strawberry.field(description="The key.")
    namespace_id: strawberry.ID | None = strawberry.field(default=None, description=_WHOSE)
    idempotency_key: str | None = key_field()
