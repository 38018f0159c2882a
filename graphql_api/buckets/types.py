"""Types of buckets and objects."""

from collections import Counter
from collections.abc import Sequence

import strawberry

from graphql_api.context import Info
from graphql_api.enums import FieldType, Lifecycle, RowOutcome, WritePolicy
from graphql_api.errors import UserError, user_error
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import JSON, BigInt, DateTime
from graphql_api.tasks.types import Task
from models.bucket import Bucket as BucketModel
from models.fields import FieldSpec
from models.object import Blob as BlobModel
from models.object import Object as ObjectModel
from workers.intake import RowAnswer


@strawberry.type(description="One field of a bucket's objects or of a collection's documents.")
class Field:
    """A field as shown."""

    name: str = strawberry.field(description="Its name.")
    type: FieldType = strawberry.field(description="What it holds.")
    required: bool = strawberry.field(description="Whether every object must have it.")


def show_fields(fields: list[FieldSpec]) -> list[Field]:
    """Return fields as shown."""
    return [Field(name=one.name, type=one.type, required=one.required) for one in fields]


@strawberry.type(description="The fields of which a bucket makes its objects' keys.")
class UniqueKey:
    """A unique key as shown."""

    fields: list[str] = strawberry.field(description="Their names, in order.")
    default_policy: WritePolicy | None = strawberry.field(
        description="For createObjects without a policy."
    )


@strawberry.type(description="Where input is kept: objects of one shape.")
class Bucket(Node):
    """A bucket as shown."""

    name: str = strawberry.field(description="Unique in the namespace.")
    description: str = strawberry.field(description="Free text.")
    fields: list[Field] = strawberry.field(
        description="What its objects have; empty when nothing is checked."
    )
    unique_key: UniqueKey | None = strawberry.field(
        description="Of which fields its objects get their keys; null when they bring them."
    )
    lifecycle: Lifecycle = strawberry.field(description="Whether it may be used.")
    deletion_task_id: strawberry.ID | None = strawberry.field(
        description="The task that deletes it."
    )
    created_at: DateTime = strawberry.field(description="When it was created.")

    @strawberry.field(description="How many objects it holds; counted when asked for.")
    async def object_count(self, info: Info) -> BigInt:
        """Count the objects."""
        return BigInt(await info.context.loaders.object_count_by_bucket_id.load(self.id))


def _task_id(model: BucketModel) -> strawberry.ID | None:
    return None if model.deletion_task_id is None else strawberry.ID(model.deletion_task_id)


def show_bucket(model: BucketModel) -> Bucket:
    """Return a bucket as shown."""
    return Bucket(
        id=strawberry.ID(model.id),
        name=model.name,
        description=model.description,
        fields=show_fields(model.fields),
        unique_key=None
        if model.unique_key is None
        else UniqueKey(
            fields=model.unique_key.fields, default_policy=model.unique_key.default_policy
        ),
        lifecycle=model.lifecycle,
        deletion_task_id=_task_id(model),
        created_at=DateTime(model.created_at),
    )


@strawberry.type(description="One file of an object: text inline, or its address.")
class Blob:
    """A blob as shown."""

    property: str = strawberry.field(description="The field that it fills.")
    text: str | None = strawberry.field(description="The text, if it is kept inline.")
    url: str | None = strawberry.field(description="Its S3 address, if it lies there.")
    upload_id: strawberry.ID | None = strawberry.field(description="The upload that it is.")
    media_type: str | None = strawberry.field(description="What it is, as the client said.")


@strawberry.type(description="One registered thing of a bucket.")
class Object(Node):
    """An object as shown."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket that it is in.")
    key: str | None = strawberry.field(description="The client's own name, unique in the bucket.")
    metadata: JSON = strawberry.field(description="The client's own fields.")
    blobs: list[Blob] = strawberry.field(description="Its files.")
    tags: list[str] = strawberry.field(description="Words to find it by, sorted.")
    created_at: DateTime = strawberry.field(description="When it was registered.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    @strawberry.field(description="The bucket; null when it was deleted.")
    async def bucket(self, info: Info) -> Bucket | None:
        """Load the bucket."""
        found = await info.context.loaders.bucket_by_id.load(self.bucket_id)
        return None if found is None else show_bucket(found)


def _show_blob(blob: BlobModel) -> Blob:
    return Blob(
        property=blob.property,
        text=blob.text,
        url=None if blob.upload_id else blob.url,
        upload_id=None if blob.upload_id is None else strawberry.ID(blob.upload_id),
        media_type=blob.media_type,
    )


def show_object(model: ObjectModel) -> Object:
    """Return an object as shown."""
    return Object(
        id=strawberry.ID(model.id),
        bucket_id=strawberry.ID(model.bucket_id),
        key=model.key,
        metadata=JSON(model.metadata),
        blobs=[_show_blob(blob) for blob in model.blobs],
        tags=model.tags,
        created_at=DateTime(model.created_at),
        updated_at=DateTime(model.updated_at),
    )


@strawberry.type(description="Answer to createBucket.")
class CreateBucketPayload(Payload):
    """What came of it."""

    bucket: Bucket | None = strawberry.field(description="The new bucket.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to updateBucket.")
class UpdateBucketPayload(Payload):
    """What came of it."""

    bucket: Bucket | None = strawberry.field(description="The bucket as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not changed.")


@strawberry.type(description="What became of one row of createObjects.")
class CreateObjectResult:
    """One row's outcome."""

    index: int = strawberry.field(description="Place of the row in the input, from 0.")
    client_ref: str | None = strawberry.field(description="As the row gave it.")
    outcome: RowOutcome = strawberry.field(description="What became of it.")
    object: Object | None = strawberry.field(description="The object; null when it was rejected.")
    errors: list[UserError] = strawberry.field(
        description="What was wrong with it; of an object that was written, what was left out."
    )


@strawberry.type(description="Answer to createObjects.")
class CreateObjectsPayload(Payload):
    """What came of it."""

    results: list[CreateObjectResult] = strawberry.field(
        description="One entry for each input row, in order."
    )
    created_count: int = strawberry.field(description="Rows that became objects.")
    updated_count: int = strawberry.field(description="Rows that changed objects.")
    unchanged_count: int = strawberry.field(description="Rows whose objects were like this.")
    failed_count: int = strawberry.field(description="Rows that were rejected.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was tried.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to deleteBucket.")
class DeleteBucketPayload(Payload):
    """What came of it."""

    task: Task | None = strawberry.field(
        description="What to watch: the bucket is gone when it is COMPLETED."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it is not deleted.")


def show_created(
    refs: Sequence[str | None],
    answers: Sequence[RowAnswer],
    errors: list[UserError],
    *,
    replayed: bool = False,
) -> CreateObjectsPayload:
    """Return what became of the rows of createObjects."""
    counts = Counter(answer.outcome for answer in answers)
    return CreateObjectsPayload(
        results=[
            CreateObjectResult(
                index=index,
                client_ref=ref,
                outcome=answer.outcome,
                object=None if answer.object is None else show_object(answer.object),
                errors=[user_error(error) for error in answer.errors],
            )
            for index, (ref, answer) in enumerate(zip(refs, answers, strict=True))
        ],
        created_count=counts[RowOutcome.CREATED],
        updated_count=counts[RowOutcome.UPDATED],
        unchanged_count=counts[RowOutcome.UNCHANGED],
        failed_count=counts[RowOutcome.REJECTED],
        user_errors=errors,
        replayed=replayed,
    )
