"""Mutations of namespaces."""

from typing import Annotated

import strawberry

from graphql_api.admin.inputs import (
    CreateNamespaceInput,
    DeleteNamespaceInput,
    UpdateNamespaceInput,
)
from graphql_api.admin.types import (
    CreateNamespacePayload,
    DeleteNamespacePayload,
    UpdateNamespacePayload,
    show_namespace,
)
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.tasks.types import show_task
from models.errors import StrataError
from workers.namespace_deletion import delete_namespace
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

    @strawberry.mutation(
        description="Change the name or the description of a namespace, or how long its log goes "
        "back."
    )
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
                    scope,
                    name=input.name,
                    description=input.description,
                    event_days=input.event_days,
                    longest_days=info.context.stores.settings.worker.event_days,
                    claim=claim,
                ),
                lambda _: require_namespace(scope.namespace_id),
            )
        except StrataError as error:
            return UpdateNamespacePayload(namespace=None, user_errors=[user_error(error)])
        return UpdateNamespacePayload(
            namespace=show_namespace(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(
        description="Delete a namespace with everything in it, as a task; asked again, it answers "
        "with that task. From now on its keys may only read. The audit log is kept."
    )
    async def delete_namespace(
        self,
        info: Info,
        input: Annotated[DeleteNamespaceInput, strawberry.argument(description="Which.")],
    ) -> DeleteNamespacePayload | None:
        """Begin to delete a namespace."""
        try:
            scope = info.context.scope_of(input.namespace_id)
            task = await delete_namespace(info.context.stores, scope, force=input.force)
        except StrataError as error:
            return DeleteNamespacePayload(task=None, user_errors=[user_error(error)])
        return DeleteNamespacePayload(task=show_task(task), user_errors=[])
