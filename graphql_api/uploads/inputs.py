"""Inputs of uploads."""

import strawberry

from graphql_api.idempotency import key_field
from graphql_api.scalars import BigInt
from workers.uploads import UploadDraft


@strawberry.input(description="A file to be sent.")
class RequestUploadInput:
    """Input of requestUpload."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket whose object it is for.")
    filename: str = strawberry.field(description="1 to 100 characters; for people, no path.")
    media_type: str = strawberry.field(description="What the bytes are, as in `image/png`.")
    size_bytes: BigInt = strawberry.field(description="Exactly how many bytes; at most 5 GiB.")
    sha256: str = strawberry.field(description="Of the bytes, in hexadecimal.")
    expires_seconds: int = strawberry.field(
        default=3600, description="How long the link is good for; 60 to 86,400 s."
    )
    idempotency_key: str | None = key_field()

    def draft(self) -> UploadDraft:
        """Return the workers' form."""
        return UploadDraft(
            self.filename, self.media_type, self.size_bytes, self.sha256, self.expires_seconds
        )


@strawberry.input(description="A file that was sent.")
class ConfirmUploadInput:
    """Input of confirmUpload."""

    upload_id: strawberry.ID = strawberry.field(description="The upload.")
