"""Types of uploads."""

import strawberry

from graphql_api.enums import show_enum
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.node import Node
from graphql_api.payload import Payload
from graphql_api.scalars import BigInt, DateTime, show_time
from models.upload import Upload as UploadModel
from models.upload import UploadStatus
from workers.uploads import UploadLink

show_enum(
    UploadStatus,
    "Where an upload is.",
    {
        UploadStatus.PENDING: "Asked for; send the bytes, then confirm.",
        UploadStatus.CONFIRMED: "The bytes are there as announced; an object may refer to it.",
        UploadStatus.DISCARDED: "It is being removed.",
    },
)


@strawberry.type(
    description="A file that a client sends straight to S3. It is removed when nobody confirms it "
    "within an hour after its link expired, or when no object refers to it for a week."
)
class Upload(Node):
    """An upload as shown."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket whose object it is for.")
    filename: str = strawberry.field(description="For people.")
    media_type: str = strawberry.field(description="What the bytes are.")
    size_bytes: BigInt = strawberry.field(description="How many.")
    sha256: str = strawberry.field(description="Of the bytes, in hexadecimal.")
    status: UploadStatus = strawberry.field(description="Where it is.")
    object_id: strawberry.ID | None = strawberry.field(description="The object that refers to it.")
    created_at: DateTime = strawberry.field(description="When it was asked for.")
    expires_at: DateTime = strawberry.field(description="When its link ends.")
    confirmed_at: DateTime | None = strawberry.field(description="When it was confirmed.")


def show_upload(model: UploadModel) -> Upload:
    """Return an upload as shown."""
    return Upload(
        id=strawberry.ID(model.id),
        bucket_id=strawberry.ID(model.bucket_id),
        filename=model.filename,
        media_type=model.media_type,
        size_bytes=BigInt(model.size_bytes),
        sha256=model.sha256,
        status=model.status,
        object_id=None if model.object_id is None else strawberry.ID(model.object_id),
        created_at=DateTime(model.created_at),
        expires_at=DateTime(model.expires_at),
        confirmed_at=show_time(model.confirmed_at),
    )


@strawberry.type(description="A header of an HTTP request.")
class UploadHeader:
    """A header as shown."""

    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="Answer to requestUpload: PUT the bytes to `url` with `headers`.")
class RequestUploadPayload(Payload):
    """What came of it."""

    upload: Upload | None = strawberry.field(description="The upload.")
    url: str | None = strawberry.field(
        description="Good for one PUT of just these bytes; treat it as a secret."
    )
    headers: list[UploadHeader] = strawberry.field(description="Headers that the PUT must have.")
    user_errors: list[UserError] = strawberry.field(description="Why there is none.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to confirmUpload.")
class ConfirmUploadPayload(Payload):
    """What came of it."""

    upload: Upload | None = strawberry.field(description="The upload, CONFIRMED.")
    user_errors: list[UserError] = strawberry.field(description="Why it is not.")


def show_link(link: UploadLink, *, replayed: bool) -> RequestUploadPayload:
    """Return an upload's link as shown."""
    headers = [UploadHeader(name=name, value=value) for name, value in link.headers.items()]
    return RequestUploadPayload(
        upload=show_upload(link.upload),
        url=link.url,
        headers=headers,
        user_errors=[],
        replayed=replayed,
    )
