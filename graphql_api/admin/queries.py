"""Queries of namespaces."""

import strawberry

from graphql_api.admin.types import Namespace, show_namespace
from graphql_api.context import Info
from models.namespace import Namespace as NamespaceModel


@strawberry.type
class AdminQuery:
    """What the caller may know of namespaces."""

    @strawberry.field(description="The namespace of the key in use.")
    async def namespace(self, info: Info) -> Namespace | None:
        """Return the caller's namespace."""
        found = await NamespaceModel.get(info.context.scope.namespace_id)
        return None if found is None else show_namespace(found)
