"""Queries of uploads."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.uploads.types import Upload, show_upload
from models.upload import Upload as UploadModel


@strawberry.type
class UploadQuery:
    """What there is to read of uploads."""

    @strawberry.field(description="One upload, or null.")
    async def upload(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the upload.")],
    ) -> Upload | None:
        """Return an upload."""
        found = await info.context.scope.find(UploadModel, id)
        return None if found is None else show_upload(found)
