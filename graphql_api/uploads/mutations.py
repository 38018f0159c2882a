"""Mutations of uploads."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.uploads.inputs import ConfirmUploadInput, RequestUploadInput
from graphql_api.uploads.types import (
    ConfirmUploadPayload,
    RequestUploadPayload,
    show_link,
    show_upload,
)
from models.errors import StrataError
from workers.uploads import confirm_upload, request_upload


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
            link = await request_upload(stores, scope, input.bucket_id, input.draft())
        except StrataError as error:
            return RequestUploadPayload(
                upload=None, url=None, headers=[], user_errors=[user_error(error)]
            )
        return show_link(link)

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
