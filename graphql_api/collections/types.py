"""Types of collections."""

from collections.abc import Sequence
from typing import Any

import strawberry

from graphql_api.buckets.types import Field, show_fields
from graphql_api.enums import Lifecycle, ObservedType, VectorKind
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import JSON, BigInt, DateTime
from graphql_api.tasks.types import Task
from models.collection import Collection as CollectionModel
from models.fields import VectorField as VectorModel
from models.filters import Filter
from models.ids import feature_uri


@strawberry.type(description="What a collection reads: one bucket, or upstream collections.")
class Source:
    """A source as shown."""

    bucket_id: strawberry.ID | None = strawberry.field(description="The bucket.")
    collection_ids: list[strawberry.ID] = strawberry.field(description="The collections.")
    filter: JSON | None = strawberry.field(
        description="Which rows are read, in the form of FilterInput; null for all."
    )


@strawberry.type(description="Which extractor a collection runs.")
class ExtractorChoice:
    """A choice as shown."""

    name: str = strawberry.field(description="Name in the catalogue.")
    version: str = strawberry.field(description="Version in the catalogue.")
    parameters: JSON = strawberry.field(description="All its parameters, defaults filled in.")
    parameters_hash: str = strawberry.field(description="Changes with any parameter.")


@strawberry.type(description="Fills one input of the extractor.")
class InputMapping:
    """A mapping as shown."""

    input: str = strawberry.field(description="The extractor's input.")
    path: str | None = strawberry.field(description="Dotted path in the row.")
    literal: JSON | None = strawberry.field(description="A fixed value.")
    vector: str | None = strawberry.field(description="A vector of the upstream document.")


@strawberry.type(description="Copies a field of the row into the document.")
class Passthrough:
    """A passthrough as shown."""

    path: str = strawberry.field(description="Dotted path in the row.")
    target: str = strawberry.field(description="Name in the document.")
    default: JSON | None = strawberry.field(description="Used when it is absent.")
    required: bool = strawberry.field(description="Whether a row without it is left out.")


@strawberry.type(description="One vector of each document.")
class VectorField:
    """A vector field as shown."""

    name: str = strawberry.field(description="Its name.")
    kind: VectorKind = strawberry.field(description="How it is written and compared.")
    dimension: int = strawberry.field(description="Numbers in it; 0 for a sparse one.")
    distance: str = strawberry.field(description="How two are compared.")
    idf: bool = strawberry.field(
        description="Whether rare terms weigh more, by the statistics of the collection."
    )
    feature_uri: str = strawberry.field(
        description="What searches call it: `strata://<extractor>@<version>/<vector>`."
    )


@strawberry.type(description="One type that was seen at one path of a collection's documents.")
class ObservedField:
    """An observed field as shown."""

    path: str = strawberry.field(
        description="Names joined by dots, at most five; `[]` stands for the elements of an array."
    )
    type: ObservedType = strawberry.field(description="What it held.")
    first_seen_at: DateTime = strawberry.field(description="When a document had it first.")


@strawberry.type(description="One source and one extractor; holds documents.")
class Collection(Node):
    """A collection as shown."""

    name: str = strawberry.field(description="Unique in the namespace.")
    description: str = strawberry.field(description="Free text.")
    source: Source = strawberry.field(description="What it reads.")
    extractor: ExtractorChoice = strawberry.field(description="What makes its documents.")
    input_mappings: list[InputMapping] = strawberry.field(description="What fills the inputs.")
    passthrough: list[Passthrough] = strawberry.field(description="Fields of the row it keeps.")
    output_fields: list[Field] = strawberry.field(description="Fields of its documents.")
    observed_fields: list[ObservedField] = strawberry.field(
        description="What its documents were seen to have, an entry for each type at each path, in "
        "the order of first sight; at most 500. The event collection.schema_changed tells of more."
    )
    vectors: list[VectorField] = strawberry.field(description="Vectors of its documents.")
    document_count: BigInt = strawberry.field(description="Documents that it holds.")
    index_signature: str = strawberry.field(description="Differs after every committed write.")
    lifecycle: Lifecycle = strawberry.field(description="Whether it may be used.")
    deletion_task_id: strawberry.ID | None = strawberry.field(
        description="The task that deletes it."
    )
    created_at: DateTime = strawberry.field(description="When it was created.")


def _task_id(model: CollectionModel) -> strawberry.ID | None:
    return None if model.deletion_task_id is None else strawberry.ID(model.deletion_task_id)


def show_collection(model: CollectionModel) -> Collection:
    """Return a collection as shown."""
    bucket_id = model.source.bucket_id
    return Collection(
        id=strawberry.ID(model.id),
        name=model.name,
        description=model.description,
        source=Source(
            bucket_id=None if bucket_id is None else strawberry.ID(bucket_id),
            collection_ids=[strawberry.ID(found) for found in model.source.collection_ids],
            filter=None if model.source.filter is None else JSON(show_filter(model.source.filter)),
        ),
        extractor=ExtractorChoice(
            name=model.extractor.name,
            version=model.extractor.version,
            parameters=JSON(model.extractor.parameters),
            parameters_hash=model.extractor.parameters_hash,
        ),
        input_mappings=[
            InputMapping(
                input=one.input,
                path=one.path,
                literal=None if one.literal is None else JSON(one.literal),
                vector=one.vector,
            )
            for one in model.input_mappings
        ],
        passthrough=[
            Passthrough(
                path=one.path,
                target=one.target,
                default=None if one.default is None else JSON(one.default),
                required=one.required,
            )
            for one in model.passthrough
        ],
        output_fields=show_fields(model.output_fields),
        observed_fields=[
            ObservedField(path=one.path, type=one.type, first_seen_at=DateTime(one.first_seen_at))
            for one in model.observed
        ],
        vectors=show_vectors(model.extractor.label, model.vectors),
        document_count=BigInt(model.document_count),
        index_signature=model.index_signature,
        lifecycle=model.lifecycle,
        deletion_task_id=_task_id(model),
        created_at=DateTime(model.created_at),
    )


def show_vectors(label: str, vectors: Sequence[VectorModel]) -> list[VectorField]:
    """Return vectors of an extractor as shown."""
    return [
        VectorField(
            name=one.name,
            kind=one.kind,
            dimension=one.dimension,
            distance=one.distance,
            idf=one.idf,
            feature_uri=feature_uri(label, one.name),
        )
        for one in vectors
    ]


def show_filter(node: Filter) -> dict[str, Any]:
    """Return a filter in the form in which it was given."""
    if node.condition is not None:
        condition = node.condition
        return {
            "field": {
                "path": condition.path,
                "operator": str(condition.operator),
                "value": condition.value,
            }
        }
    if node.negated is not None:
        return {"not": show_filter(node.negated)}
    if node.all_of is not None:
        return {"and": [show_filter(part) for part in node.all_of]}
    return {"or": [show_filter(part) for part in node.any_of or []]}


@strawberry.type(description="Answer to createCollection.")
class CreateCollectionPayload(Payload):
    """What came of it."""

    collection: Collection | None = strawberry.field(description="The new collection.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to deleteCollection.")
class DeleteCollectionPayload(Payload):
    """What came of it."""

    task: Task | None = strawberry.field(
        description="What to watch: the collection is gone when it is COMPLETED."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it is not deleted.")


@strawberry.type(description="Answer to updateCollection.")
class UpdateCollectionPayload(Payload):
    """What came of it."""

    collection: Collection | None = strawberry.field(description="The collection as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not changed.")


@strawberry.type(description="Answer to cloneCollection.")
class CloneCollectionPayload(Payload):
    """What came of it."""

    collection: Collection | None = strawberry.field(description="The new collection.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()
