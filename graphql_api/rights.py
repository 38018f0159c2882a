"""Who may do what: one row for each root field, and for the types that need more than their path.

`guard` puts each row in front of its field when the schema is assembled, so that nothing runs
before it, and writes it into the field's description. A root field without a row stops the
assembly. A field of an object type is reached through root fields only, so it needs what they need;
a type that shows more than its paths do has a row of its own, and each of its fields checks it.

    READ < WRITE < ADMIN    scopes of a namespace's API keys; each includes those before it
    OPERATOR                the deployment's admin key, which opens no namespace; it also does ADMIN
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    default_field_resolver,
)

from graphql_api.context import Context
from graphql_api.permissions import Principal
from models.api_key import KeyScope
from models.errors import Forbidden, Misconfigured, Unauthenticated


class Right(StrEnum):
    """What a caller must have."""

    READ = "READ"
    WRITE = "WRITE"
    ADMIN = "ADMIN"
    OPERATOR = "OPERATOR"


ROOT_FIELDS: Final[dict[str, Right]] = {
    "Query.analytics": Right.READ,
    "Query.answerCache": Right.READ,
    "Query.apiKeys": Right.ADMIN,
    "Query.auditLog": Right.ADMIN,
    "Query.batch": Right.READ,
    "Query.batches": Right.READ,
    "Query.bucket": Right.READ,
    "Query.buckets": Right.READ,
    "Query.collection": Right.READ,
    "Query.collections": Right.READ,
    "Query.diagnoseBatch": Right.READ,
    "Query.document": Right.READ,
    "Query.documentFacets": Right.READ,
    "Query.documents": Right.READ,
    "Query.extractors": Right.READ,
    "Query.namespace": Right.READ,
    "Query.namespaces": Right.OPERATOR,
    "Query.node": Right.READ,
    "Query.nodes": Right.READ,
    "Query.object": Right.READ,
    "Query.objectDocuments": Right.READ,
    "Query.objects": Right.READ,
    "Query.planBatch": Right.READ,
    "Query.rateLimit": Right.READ,
    "Query.schedule": Right.READ,
    "Query.schedules": Right.READ,
    "Query.searchDocuments": Right.READ,
    "Query.task": Right.READ,
    "Query.tasks": Right.READ,
    "Query.webhook": Right.READ,
    "Query.webhookDeliveries": Right.READ,
    "Query.webhookDelivery": Right.READ,
    "Query.webhooks": Right.READ,
    "Query.upload": Right.READ,
    "Mutation.addObjectsToBatch": Right.WRITE,
    "Mutation.cancelBatch": Right.WRITE,
    "Mutation.cancelTask": Right.WRITE,
    "Mutation.createApiKey": Right.ADMIN,
    "Mutation.createBatch": Right.WRITE,
    "Mutation.createBucket": Right.WRITE,
    "Mutation.createCollection": Right.WRITE,
    "Mutation.createNamespace": Right.OPERATOR,
    "Mutation.createObjects": Right.WRITE,
    "Mutation.createSchedule": Right.WRITE,
    "Mutation.createWebhook": Right.WRITE,
    "Mutation.deleteBatch": Right.WRITE,
    "Mutation.importObjects": Right.WRITE,
    "Mutation.reprocessCollection": Right.WRITE,
    "Mutation.deleteObjects": Right.WRITE,
    "Mutation.updateBucket": Right.WRITE,
    "Mutation.updateObjects": Right.WRITE,
    "Mutation.requestUpload": Right.WRITE,
    "Mutation.confirmUpload": Right.WRITE,
    "Mutation.deleteBucket": Right.WRITE,
    "Mutation.cloneCollection": Right.WRITE,
    "Mutation.deleteCollection": Right.WRITE,
    "Mutation.updateCollection": Right.WRITE,
    "Mutation.deleteNamespace": Right.ADMIN,
    "Mutation.deleteSchedule": Right.WRITE,
    "Mutation.deleteWebhook": Right.WRITE,
    "Mutation.pauseBatch": Right.WRITE,
    "Mutation.pauseSchedule": Right.WRITE,
    "Mutation.redeliver": Right.WRITE,
    "Mutation.redeliverRange": Right.WRITE,
    "Mutation.resumeBatch": Right.WRITE,
    "Mutation.resumeSchedule": Right.WRITE,
    "Mutation.revokeApiKey": Right.ADMIN,
    "Mutation.rotateApiKey": Right.ADMIN,
    "Mutation.rotateWebhookSecret": Right.WRITE,
    "Mutation.retryBatch": Right.WRITE,
    "Mutation.setBatchPriority": Right.WRITE,
    "Mutation.submitBatch": Right.WRITE,
    "Mutation.testWebhook": Right.WRITE,
    "Mutation.triggerSchedule": Right.WRITE,
    "Mutation.updateNamespace": Right.ADMIN,
    "Mutation.updateSchedule": Right.WRITE,
    "Subscription.batchesChanged": Right.READ,
    "Subscription.batchEvents": Right.READ,
    "Mutation.updateWebhook": Right.WRITE,
    "Subscription.namespaceEvents": Right.READ,
    "Subscription.documentsWritten": Right.READ,
    "Subscription.taskUpdated": Right.READ,
}
TYPES: Final[dict[str, Right]] = {
    "ApiKey": Right.ADMIN,
    "AuditEntry": Right.ADMIN,
}
_SCOPES: Final = {
    Right.READ: KeyScope.READ,
    Right.WRITE: KeyScope.WRITE,
    Right.ADMIN: KeyScope.ADMIN,
}
_SHOWN: Final = {
    Right.READ: "Needs the scope READ.",
    Right.WRITE: "Needs the scope WRITE.",
    Right.ADMIN: "Needs the scope ADMIN, or the deployment's admin key.",
    Right.OPERATOR: "Needs the deployment's admin key.",
}
Resolver = Callable[..., Any]


def require(principal: Principal | None, right: Right) -> None:
    """Return when the caller has the right.

    Raises:
        Unauthenticated: there was no key.
        Forbidden: the key lacks the scope.
    """
    if principal is None:
        raise Unauthenticated(
            "This needs an API key.", hint="Send the header `Authorization: Bearer <key>`."
        )
    if principal.is_operator:
        if right in (Right.READ, Right.WRITE):
            raise Forbidden(
                "The admin key opens no namespace.",
                hint="Use the API key that createNamespace returned.",
            )
    elif right is Right.OPERATOR:
        raise Forbidden("This needs the admin key.")
    elif not principal.may(_SCOPES[right]):
        raise Forbidden(
            f"The key lacks the scope {right}.", hint="Use a key with it; createApiKey makes one."
        )


def shows(principal: Principal | None, type_name: str) -> bool:
    """Tell whether a caller who may READ may also see a type."""
    try:
        require(principal, TYPES.get(type_name, Right.READ))
    except (Unauthenticated, Forbidden):
        return False
    return True


def guard(schema: GraphQLSchema) -> None:
    """Put every row in front of its field.

    Raises:
        Misconfigured: a root field has no row.
    """
    if missing := sorted(root_fields(schema).keys() - ROOT_FIELDS.keys()):
        rows = " ".join(f'"{name}": Right.READ,' for name in missing)
        raise Misconfigured(
            f"Nobody has said who may use {', '.join(missing)}.",
            hint=f"Add to ROOT_FIELDS in graphql_api/rights.py, with the right that fits: {rows}",
        )
    for name, field in root_fields(schema).items():
        _guard_field(field, ROOT_FIELDS[name])
        field.description = f"{field.description or ''} {_SHOWN[ROOT_FIELDS[name]]}".strip()
    for name, right in TYPES.items():
        kind = schema.type_map.get(name)
        if not isinstance(kind, GraphQLObjectType):
            raise Misconfigured(f"TYPES in graphql_api/rights.py: there is no object type {name}.")
        for field in kind.fields.values():
            _guard_field(field, right)


def root_fields(schema: GraphQLSchema) -> dict[str, GraphQLField]:
    """Return every root field under its full name."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    return {
        f"{root.name}.{name}": field
        for root in roots
        if root is not None
        for name, field in root.fields.items()
    }


def _guard_field(field: GraphQLField, right: Right) -> None:
    if field.subscribe is not None:
        field.subscribe = _guarded(field.subscribe, right)
    else:
        field.resolve = _guarded(field.resolve or default_field_resolver, right)


def _guarded(resolve: Resolver, right: Right) -> Resolver:
    def resolve_if_allowed(source: Any, info: GraphQLResolveInfo[Context], **arguments: Any) -> Any:
        require(info.context.principal, right)
        return resolve(source, info, **arguments)

    return resolve_if_allowed
