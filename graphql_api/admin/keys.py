"""Types of API keys, and the answers to what is done to them."""

from typing import TypeVar

import strawberry

from graphql_api.admin.enums import KeyScope
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import DateTime, show_time
from models.api_key import ApiKey as ApiKeyModel
from workers.idempotency import Outcome
from workers.keys import MadeKey


@strawberry.type(description="A key of a namespace; its readable form was shown once.")
class ApiKey(Node):
    """A key as shown."""

    name: str = strawberry.field(description="What the client calls it.")
    scopes: list[KeyScope] = strawberry.field(description="What it may do.")
    usable: bool = strawberry.field(description="Whether it opens anything now.")
    created_at: DateTime = strawberry.field(description="When it was made.")
    expires_at: DateTime | None = strawberry.field(description="When it ends by itself.")
    revoked_at: DateTime | None = strawberry.field(description="When it was revoked.")
    last_used_at: DateTime | None = strawberry.field(
        description="When it last opened something, to within a minute."
    )
    rotated_from: strawberry.ID | None = strawberry.field(description="The key that it replaces.")


def show_key(model: ApiKeyModel) -> ApiKey:
    """Return a key as shown."""
    return ApiKey(
        id=strawberry.ID(model.id),
        name=model.name,
        scopes=model.scopes,
        usable=model.usable,
        created_at=DateTime(model.created_at),
        expires_at=show_time(model.expires_at),
        revoked_at=show_time(model.revoked_at),
        last_used_at=show_time(model.last_used_at),
        rotated_from=None if model.rotated_from is None else strawberry.ID(model.rotated_from),
    )


@strawberry.type
class _MadeKeyPayload(Payload):
    """What came of making a key."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The new key.")
    secret: str | None = strawberry.field(
        default=None, description="Its readable form; shown this once, null when `replayed`."
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was made."
    )
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to createApiKey.")
class CreateApiKeyPayload(_MadeKeyPayload):
    """What came of it."""


@strawberry.type(description="Answer to rotateApiKey.")
class RotateApiKeyPayload(_MadeKeyPayload):
    """What came of it."""


P = TypeVar("P", bound=_MadeKeyPayload)


def show_made(payload: type[P], done: Outcome[MadeKey]) -> P:
    """Return a new key as an answer."""
    key, secret = done.value
    return payload(api_key=show_key(key), secret=secret, replayed=done.replayed)


@strawberry.type(description="Answer to revokeApiKey.")
class RevokeApiKeyPayload(Payload):
    """What came of it."""

    api_key: ApiKey | None = strawberry.field(description="The key, which opens nothing any more.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not revoked.")
    replayed: bool = replayed_field()
