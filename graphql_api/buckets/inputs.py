"""Inputs of buckets and objects."""

import strawberry

from graphql_api.enums import ErrorPolicy, FieldType, WritePolicy
from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON, BigInt
from models.bucket import UniqueKey
from models.fields import FieldSpec
from models.object import Blob
from workers.object_rows import ObjectDraft


@strawberry.input(description="One field of a bucket's objects.")
class FieldInput:
    """Input for a field."""

    name: str = strawberry.field(description="Its name; metadata key or blob property.")
    type: FieldType = strawberry.field(description="What it holds.")
    required: bool = strawberry.field(default=False, description="Whether objects must have it.")

    def spec(self) -> FieldSpec:
        """Return the model's form."""
        return FieldSpec(name=self.name, type=self.type, required=self.required)


@strawberry.input(description="The fields of which a bucket makes its objects' keys; fixed.")
class UniqueKeyInput:
    """Input for a unique key."""

    fields: list[str] = strawberry.field(
        description="Required fields with one value each, in order; together unique in the bucket."
    )
    default_policy: WritePolicy | None = strawberry.field(
        default=None, description="For createObjects without a policy; INSERT if none."
    )

    def model(self) -> UniqueKey:
        """Return the model's form."""
        return UniqueKey(fields=list(self.fields), default_policy=self.default_policy)


@strawberry.input(description="A bucket to be created.")
class CreateBucketInput:
    """Input of createBucket."""

    name: str = strawberry.field(description="1 to 100 characters, unique in the namespace.")
    description: str = strawberry.field(default="", description="Free text.")
    fields: list[FieldInput] | None = strawberry.field(
        default=None, description="What objects have. Without it nothing is checked."
    )
    unique_key: UniqueKeyInput | None = strawberry.field(
        default=None,
        description="Of which fields objects get their keys; without it they bring their own.",
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A bucket to be changed; what is left out stays.")
class UpdateBucketInput:
    """Input of updateBucket."""

    id: strawberry.ID = strawberry.field(description="The bucket.")
    name: str | None = strawberry.field(default=None, description="Unique in the namespace.")
    description: str | None = strawberry.field(default=None, description="Free text.")
    add_fields: list[FieldInput] | None = strawberry.field(
        default=None, description="Further fields, all optional: objects that are there lack them."
    )


@strawberry.input(description="One file of an object: exactly one of `text`, `url` and `uploadId`.")
class BlobInput:
    """Input for a blob."""

    property: str = strawberry.field(description="The field that it fills.")
    text: str | None = strawberry.field(default=None, description="Inline text, at most 1 MiB.")
    url: str | None = strawberry.field(
        default=None,
        description="`s3://bucket/key` in a bucket that the operator allows, or a public "
        "https address.",
    )
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="A confirmed upload of this bucket that no object has."
    )
    media_type: str | None = strawberry.field(
        default=None, description="What the bytes are, as in `image/png`; a hint, not a promise."
    )
    size_bytes: BigInt | None = strawberry.field(
        default=None,
        description="Bytes at `url`, if known: blocks of large files are cut smaller.",
    )


@strawberry.input(description="An object to be registered.")
class ObjectInput:
    """Input for an object."""

    key: str | None = strawberry.field(
        default=None, description="The client's own name, unique in the bucket."
    )
    metadata: JSON | None = strawberry.field(default=None, description="A JSON object.")
    blobs: list[BlobInput] | None = strawberry.field(default=None, description="Its files.")
    tags: list[str] | None = strawberry.field(
        default=None, description="Words to find it by, at most 50."
    )
    client_ref: str | None = strawberry.field(
        default=None, description="Repeated in the row's result; given once in a request."
    )

    def draft(self) -> ObjectDraft:
        """Return the workers' form."""
        blobs = [
            Blob(
                property=blob.property,
                text=blob.text,
                url=blob.url,
                upload_id=blob.upload_id,
                media_type=blob.media_type,
                size_bytes=blob.size_bytes
                if blob.text is None
                else len(blob.text.encode(errors="surrogatepass")),
            )
            for blob in self.blobs or []
        ]
        return ObjectDraft(self.key, self.metadata, blobs, tuple(self.tags or ()))


@strawberry.input(description="Objects to be registered in one bucket.")
class CreateObjectsInput:
    """Input of createObjects."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket.")
    objects: list[ObjectInput] = strawberry.field(description="At most 1,000.")
    policy: WritePolicy | None = strawberry.field(
        default=None, description="What a row with a key may be; the bucket's own policy if none."
    )
    error_policy: ErrorPolicy = strawberry.field(
        default=ErrorPolicy.REJECT_FAILED_ROWS, description="What a bad row means for the others."
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A bucket to be deleted.")
class DeleteBucketInput:
    """Input of deleteBucket."""

    id: strawberry.ID = strawberry.field(description="The bucket.")
    force: bool = strawberry.field(
        default=False, description="Whether live batches are canceled rather than in the way."
    )
