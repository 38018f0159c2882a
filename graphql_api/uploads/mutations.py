"""Mutations of uploads."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.uploads.inputs import ConfirmUploadInput, RequestUploadInput
from graphql_api.uploads.types import (
    ConfirmUploadPayload,
    RequestUploadPayload,
    show_link,
    show_upload,
)
from models.errors import StrataError
from workers.uploads import confirm_upload, recall_link, request_upload


@strawberry.type
class UploadMutation:
    """What can be done to uploads."""

    @strawberry.mutation(
        description="Ask for a link to which a file's bytes are PUT, straight to S3; then confirm."
    )
    async def request_upload(
        self,
        info: Info,
        input: Annotated[RequestUploadInput, strawberry.argument(description="The file.")],
    ) -> RequestUploadPayload | None:
        """Open an upload."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: request_upload(
                    stores, scope, input.bucket_id, input.draft(), claim=claim
                ),
                lambda made: recall_link(stores, scope, made["upload_id"]),
            )
        except StrataError as error:
            return RequestUploadPayload(
                upload=None, url=None, headers=[], user_errors=[user_error(error)]
            )
        return show_link(done.value, replayed=done.replayed)

    @strawberry.mutation(
        description="Check that a file arrived with the size and checksum announced. Again, it "
        "answers as the first time."
    )
    async def confirm_upload(
        self,
        info: Info,
        input: Annotated[ConfirmUploadInput, strawberry.argument(description="Which.")],
    ) -> ConfirmUploadPayload | None:
        """Confirm an upload."""
        try:
            upload = await confirm_upload(info.context.stores, info.context.scope, input.upload_id)
        except StrataError as error:
            return ConfirmUploadPayload(upload=None, user_errors=[user_error(error)])
        return ConfirmUploadPayload(upload=show_upload(upload), user_errors=[])
