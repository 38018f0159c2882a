"""Queries of namespaces, keys and the audit log."""

from typing import Annotated

import strawberry

from graphql_api.admin.audit import AuditEntry, AuditFilter, show_entry
from graphql_api.admin.keys import ApiKey, show_key
from graphql_api.admin.types import Namespace, show_namespace
from graphql_api.context import Info
from graphql_api.idempotency import fingerprint
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from models.api_key import ApiKey as ApiKeyModel
from models.audit import AuditEntry as AuditEntryModel
from models.namespace import Namespace as NamespaceModel
from models.scope import Deployment

Whose = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Only the deployment's admin key needs to name a namespace."),
]


@strawberry.type
class AdminQuery:
    """What the caller may know of namespaces."""

    @strawberry.field(description="The namespace of the key in use.")
    async def namespace(self, info: Info) -> Namespace | None:
        """Return the caller's namespace."""
        found = await NamespaceModel.get(info.context.scope.namespace_id)
        return None if found is None else show_namespace(found)

    @strawberry.field(description="All namespaces of the deployment, oldest first.")
    async def namespaces(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Namespace] | None:
        """List namespaces."""
        return await list_page(
            info.context, NamespaceModel, show_namespace, kind="namespaces", scope=Deployment(),
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="The namespace's keys, oldest first; revoked ones too.")
    async def api_keys(
        self,
        info: Info,
        namespace_id: Whose = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ApiKey] | None:
        """List keys."""
        return await list_page(
            info.context, ApiKeyModel, show_key, kind="keys",
            scope=info.context.scope_of(namespace_id),
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="Who did what, when and from where; newest first.")
    async def audit_log(
        self,
        info: Info,
        filter: Annotated[
            AuditFilter | None, strawberry.argument(description="Which entries; all when null.")
        ] = None,
        namespace_id: Whose = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AuditEntry] | None:
        """List the audit log."""
        chosen = filter or AuditFilter()
        return await list_page(
            info.context, AuditEntryModel, show_entry, kind=f"audit:{fingerprint(chosen)}",
            match=chosen.match(), newest_first=True, scope=info.context.scope_of(namespace_id),
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
