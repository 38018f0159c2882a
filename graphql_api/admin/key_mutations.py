"""Mutations of API keys."""

from typing import Annotated

import strawberry

from graphql_api.admin.inputs import CreateApiKeyInput, RevokeApiKeyInput, RotateApiKeyInput
from graphql_api.admin.keys import (
    CreateApiKeyPayload,
    RevokeApiKeyPayload,
    RotateApiKeyPayload,
    show_key,
    show_made,
)
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from models.api_key import ApiKey
from models.errors import StrataError
from workers.keys import create_key, recall_key, revoke_key, rotate_key


@strawberry.type
class KeyMutation:
    """What can be done to keys."""

    @strawberry.mutation(description="Make a key of a namespace.")
    async def create_api_key(
        self,
        info: Info,
        input: Annotated[CreateApiKeyInput, strawberry.argument(description="The key.")],
    ) -> CreateApiKeyPayload | None:
        """Make a key."""
        try:
            scope = info.context.scope_of(input.namespace_id)
            done = await once_only(
                info,
                input,
                lambda claim: create_key(
                    scope,
                    name=input.name,
                    scopes=input.scopes,
                    expires_at=input.expires_at,
                    claim=claim,
                ),
                lambda made: recall_key(scope, made["key_id"]),
            )
        except StrataError as error:
            return CreateApiKeyPayload(user_errors=[user_error(error)])
        return show_made(CreateApiKeyPayload, done)

    @strawberry.mutation(
        description="Make a key like another, which opens nothing any more after the overlap."
    )
    async def rotate_api_key(
        self,
        info: Info,
        input: Annotated[RotateApiKeyInput, strawberry.argument(description="Which.")],
    ) -> RotateApiKeyPayload | None:
        """Rotate a key."""
        try:
            scope = info.context.scope_of(input.namespace_id)
            done = await once_only(
                info,
                input,
                lambda claim: rotate_key(
                    scope, input.id, overlap_seconds=input.overlap_seconds, claim=claim
                ),
                lambda made: recall_key(scope, made["key_id"]),
            )
        except StrataError as error:
            return RotateApiKeyPayload(user_errors=[user_error(error)])
        return show_made(RotateApiKeyPayload, done)

    @strawberry.mutation(
        description="Let a key open nothing any more: refused within 5 seconds, its sockets "
        "closed within 60. A revoked key answers as it is."
    )
    async def revoke_api_key(
        self,
        info: Info,
        input: Annotated[RevokeApiKeyInput, strawberry.argument(description="Which.")],
    ) -> RevokeApiKeyPayload | None:
        """Revoke a key."""

        async def recall(made: dict[str, str]) -> ApiKey:
            return (await recall_key(scope, made["key_id"]))[0]

        try:
            scope = info.context.scope_of(input.namespace_id)
            done = await once_only(
                info, input, lambda claim: revoke_key(scope, input.id, claim=claim), recall
            )
        except StrataError as error:
            return RevokeApiKeyPayload(api_key=None, user_errors=[user_error(error)])
        return RevokeApiKeyPayload(
            api_key=show_key(done.value), user_errors=[], replayed=done.replayed
        )
