"""Mutations of namespaces."""

from typing import Annotated

import strawberry

from graphql_api.admin.inputs import CreateNamespaceInput, UpdateNamespaceInput
from graphql_api.admin.types import CreateNamespacePayload, UpdateNamespacePayload, show_namespace
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from models.errors import StrataError
from workers.namespaces import open_namespace, recall_namespace, require_namespace, update_namespace


@strawberry.type
class AdminMutation:
    """What the administrator may do."""

    @strawberry.mutation(description="Open a namespace.")
    async def create_namespace(
        self,
        info: Info,
        input: Annotated[CreateNamespaceInput, strawberry.argument(description="The namespace.")],
    ) -> CreateNamespacePayload | None:
        """Open a namespace with its first key."""
        try:
            done = await once_only(
                info,
                input,
                lambda claim: open_namespace(
                    info.context.stores, input.name, description=input.description, claim=claim
                ),
                lambda made: recall_namespace(made["namespace_id"]),
            )
        except StrataError as error:
            return CreateNamespacePayload(
                namespace=None, api_key=None, user_errors=[user_error(error)]
            )
        namespace, key = done.value
        return CreateNamespacePayload(
            namespace=show_namespace(namespace),
            api_key=key,
            user_errors=[],
            replayed=done.replayed,
        )

    @strawberry.mutation(description="Change the name or the description of a namespace.")
    async def update_namespace(
        self,
        info: Info,
        input: Annotated[UpdateNamespaceInput, strawberry.argument(description="What to change.")],
    ) -> UpdateNamespacePayload | None:
        """Update a namespace."""
        try:
            scope = info.context.scope_of(input.namespace_id)
            done = await once_only(
                info,
                input,
                lambda claim: update_namespace(
                    scope, name=input.name, description=input.description, claim=claim
                ),
                lambda _: require_namespace(scope.namespace_id),
            )
        except StrataError as error:
            return UpdateNamespacePayload(namespace=None, user_errors=[user_error(error)])
        return UpdateNamespacePayload(
            namespace=show_namespace(done.value), user_errors=[], replayed=done.replayed
        )
