"""Assembles the schema from its rooms; decides nothing else."""

import strawberry
from graphql import GraphQLEnumType, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.tools import merge_types
from strawberry.types.enum import StrawberryEnumDefinition

from graphql_api.admin.key_mutations import KeyMutation
from graphql_api.admin.mutations import AdminMutation
from graphql_api.admin.queries import AdminQuery
from graphql_api.admin.rate_limit import RateLimitQuery
from graphql_api.analytics.queries import AnalyticsQuery
from graphql_api.auditing import record
from graphql_api.batches.diagnosis import DiagnosisQuery
from graphql_api.batches.frames import BatchDiscontinuity, BatchEvents, BatchSnapshot
from graphql_api.batches.mutations import BatchMutation
from graphql_api.batches.queries import BatchQuery
from graphql_api.batches.steering import SteeringMutation
from graphql_api.batches.subscriptions import BatchSubscription
from graphql_api.buckets.mutations import BucketMutation
from graphql_api.buckets.queries import BucketQuery
from graphql_api.collections.mutations import CollectionMutation
from graphql_api.collections.queries import CollectionQuery
from graphql_api.collections.reprocessing import ReprocessingMutation
from graphql_api.collections.subscriptions import CollectionSubscription
from graphql_api.documents.queries import DocumentQuery
from graphql_api.events.frames import NamespaceDiscontinuity, NamespaceEvents
from graphql_api.events.subscriptions import EventSubscription
from graphql_api.nodes import NodeQuery
from graphql_api.objects.mutations import ObjectMutation
from graphql_api.rights import guard
from graphql_api.scalars import scalar_map
from graphql_api.schedules.mutations import ScheduleMutation
from graphql_api.schedules.queries import ScheduleQuery
from graphql_api.tasks.mutations import TaskMutation
from graphql_api.tasks.queries import TaskQuery
from graphql_api.tasks.subscriptions import TaskSubscription
from graphql_api.uploads.mutations import UploadMutation
from graphql_api.uploads.queries import UploadQuery
from graphql_api.webhooks.mutations import WebhookMutation
from graphql_api.webhooks.queries import WebhookQuery

Query = merge_types(
    "Query",
    (
        AdminQuery,
        RateLimitQuery,
        NodeQuery,
        BucketQuery,
        CollectionQuery,
        BatchQuery,
        DiagnosisQuery,
        TaskQuery,
        UploadQuery,
        DocumentQuery,
        ScheduleQuery,
        AnalyticsQuery,
        WebhookQuery,
    ),
)
Mutation = merge_types(
    "Mutation",
    (
        AdminMutation,
        KeyMutation,
        BucketMutation,
        ObjectMutation,
        TaskMutation,
        UploadMutation,
        CollectionMutation,
        ReprocessingMutation,
        BatchMutation,
        SteeringMutation,
        ScheduleMutation,
        WebhookMutation,
    ),
)
Subscription = merge_types(
    "Subscription",
    (
        BatchSubscription,
        TaskSubscription,
        CollectionSubscription,
        EventSubscription,
    ),
)


def describe(schema: GraphQLSchema) -> None:
    """Describe what Strawberry has no place to describe."""
    for kind, text in (
        (schema.query_type, "What there is to read."),
        (
            schema.mutation_type,
            "What can be done. Several run one by one, and are no transaction.",
        ),
        (schema.subscription_type, "What can be followed as it happens."),
        (schema.get_directive("oneOf"), "Exactly one of the input's fields has to be given."),
    ):
        if kind is not None:
            kind.description = text


def restore_members(schema: GraphQLSchema) -> None:
    """Let arguments hold members of enums again: a sorted schema hands over their names as text."""
    for kind in schema.type_map.values():
        definition = kind.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if isinstance(kind, GraphQLEnumType) and isinstance(definition, StrawberryEnumDefinition):
            for value in kind.values.values():
                value.value = definition.wrapped_cls(value.value)


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[BatchSnapshot, BatchEvents, BatchDiscontinuity, NamespaceEvents, NamespaceDiscontinuity],
    config=StrawberryConfig(scalar_map=scalar_map(), sort_schema=True),
)
describe(schema._schema)
restore_members(schema._schema)
guard(schema._schema)
record(schema._schema)
