"""Types of documents."""

from datetime import datetime
from typing import Any

import strawberry

from graphql_api.buckets.types import Object, show_object
from graphql_api.context import Info
from graphql_api.errors import UserError
from graphql_api.node import Node
from graphql_api.scalars import JSON, DateTime
from models.document import Document as DocumentModel
from models.object import Object as ObjectModel


@strawberry.type(description="One step that made a document what it is.")
class ProcessingStep:
    """An enrichment as shown."""

    extractor: str = strawberry.field(description="`name@version`.")
    parameters_hash: str = strawberry.field(description="Changes with any parameter.")
    collection_id: strawberry.ID = strawberry.field(description="The collection it was made for.")
    block_id: strawberry.ID = strawberry.field(description="The block it was made in.")
    started_at: DateTime = strawberry.field(description="When the block was taken.")
    duration_ms: int = strawberry.field(description="Milliseconds until it was written.")
    outcome: str = strawberry.field(description="`SUCCEEDED`.")


@strawberry.type(description="How a document came about.")
class InternalMetadata:
    """Internal metadata as shown."""

    batch_id: strawberry.ID = strawberry.field(description="The batch that wrote it last.")
    block_id: strawberry.ID = strawberry.field(description="The block that wrote it last.")
    processing_history: list[ProcessingStep] = strawberry.field(
        description="Every step, first to last; empty unless the batch asked for it."
    )


@strawberry.type(description="One document of a collection.")
class Document(Node):
    """A document as shown."""

    collection_id: strawberry.ID = strawberry.field(description="The collection.")
    object_id: strawberry.ID = strawberry.field(description="The object it was made of.")
    source_id: strawberry.ID = strawberry.field(
        description="That object, or the upstream document."
    )
    ordinal: int = strawberry.field(description="Its place among its source's documents, from 0.")
    fields: JSON = strawberry.field(
        description="Outputs of the extractor and passed-through fields."
    )
    internal_metadata: InternalMetadata = strawberry.field(description="How it came about.")
    created_at: DateTime = strawberry.field(description="When it was written.")

    @strawberry.field(description="The object; null when it was deleted.")
    async def object(self, info: Info) -> Object | None:
        """Load the object."""
        found = await info.context.scope.find(ObjectModel, self.object_id)
        return None if found is None else show_object(found)


def show_document(model: DocumentModel) -> Document:
    """Return a document as shown."""
    return Document(
        id=strawberry.ID(model.id),
        collection_id=strawberry.ID(model.collection_id),
        object_id=strawberry.ID(model.object_id),
        source_id=strawberry.ID(model.source_id),
        ordinal=model.ordinal,
        fields=JSON(model.fields),
        internal_metadata=InternalMetadata(
            batch_id=strawberry.ID(model.batch_id),
            block_id=strawberry.ID(model.block_id),
            processing_history=[_show_step(step) for step in model.processing_history],
        ),
        created_at=DateTime(model.created_at),
    )


def _show_step(step: dict[str, Any]) -> ProcessingStep:
    return ProcessingStep(
        extractor=step["extractor"],
        parameters_hash=step["parametersHash"],
        collection_id=strawberry.ID(step["collectionId"]),
        block_id=strawberry.ID(step["blockId"]),
        started_at=DateTime(datetime.fromisoformat(step["startedAt"])),
        duration_ms=step["durationMs"],
        outcome=step["outcome"],
    )


@strawberry.type(description="A document that was found.")
class SearchHit:
    """A hit as shown."""

    score: float = strawberry.field(description="Similarity; higher is nearer.")
    document: Document = strawberry.field(description="The document.")


@strawberry.type(description="Answer to searchDocuments.")
class SearchDocumentsPayload:
    """What was found."""

    hits: list[SearchHit] = strawberry.field(description="Nearest first.")
    took_ms: float = strawberry.field(description="Milliseconds in the server.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was searched.")
