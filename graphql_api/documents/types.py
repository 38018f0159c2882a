"""Types of documents."""

from datetime import datetime
from typing import Any, Final

import strawberry

from graphql_api.buckets.types import Object, show_object
from graphql_api.collections.types import Collection, show_collection
from graphql_api.context import Info
from graphql_api.errors import UserError, user_error
from graphql_api.listing import list_page
from graphql_api.node import Node
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.scalars import JSON, BigInt, DateTime, show_time
from models.cache import AnswerCounts
from models.document import Document as DocumentModel
from models.errors import StrataError
from workers.documents import derived_from
from workers.searching import Found, FoundObject

_TIERS: Final = 32  # more than any chain has; a bound for what was written by hand


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
        found = await info.context.loaders.object_by_id.load(self.object_id)
        return None if found is None else show_object(found)

    @strawberry.field(description="The collection; null when it was deleted.")
    async def collection(self, info: Info) -> Collection | None:
        """Load the collection."""
        found = await info.context.loaders.collection_by_id.load(self.collection_id)
        return None if found is None else show_collection(found)

    @strawberry.field(
        description="The documents that it was made of, from the first tier down to its own "
        "source; empty for a document of the first tier."
    )
    async def upstream(self, info: Info) -> list["Document"]:
        """Load the chain of sources."""
        chain: list[Document] = []
        source_id = str(self.source_id)
        while source_id != self.object_id and len(chain) < _TIERS:
            found = await info.context.loaders.document_by_id.load(source_id)
            if found is None:
                break
            chain.append(show_document(found))
            source_id = found.source_id
        return chain[::-1]

    @strawberry.field(
        description="The documents of later tiers that were made directly of it, by id."
    )
    async def derived(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection["Document"] | None:
        """List what was made of it."""
        match = await derived_from(info.context.scope, self.collection_id, self.id)
        return await list_page(
            info.context, DocumentModel, show_document, kind=f"derived:{self.id}", match=match,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip


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


@strawberry.type(description="A value of a field and how often it occurs.")
class FacetValue:
    """A facet's value as shown."""

    value: JSON = strawberry.field(description="A text, a number or a boolean.")
    count: BigInt = strawberry.field(description="Documents that have it.")


@strawberry.type(description="A document that was found.")
class SearchHit:
    """A hit as shown."""

    score: float = strawberry.field(
        description="Higher is nearer: a similarity, or what fusion made of several."
    )
    document: Document = strawberry.field(description="The document.")


@strawberry.type(description="An object that was found by its documents.")
class SearchGroup:
    """A group of hits as shown."""

    object_id: strawberry.ID = strawberry.field(description="The object.")
    score: float = strawberry.field(description="That of its nearest document, or the fused one.")
    hits: list[SearchHit] = strawberry.field(description="Its documents, nearest first.")


@strawberry.type(description="Answer to searchDocuments.")
class SearchDocumentsPayload:
    """What was found."""

    hits: list[SearchHit] = strawberry.field(
        description="Nearest first; those of all groups if grouped."
    )
    groups: list[SearchGroup] | None = strawberry.field(
        description="The objects, nearest first; null unless `hitsPerObject` is given."
    )
    took_ms: float = strawberry.field(description="Milliseconds in the server.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was searched.")


@strawberry.type(description="How often answers came from the cache, in about a week of use.")
class AnswerCache:
    """The cache's counts as shown."""

    hits: BigInt = strawberry.field(description="Answers that were given again.")
    misses: BigInt = strawberry.field(description="Answers that had to be computed.")
    hit_rate: float | None = strawberry.field(
        description="Hits among both, 0 to 1; null before the first."
    )
    answers: int = strawberry.field(description="Answers that are kept now.")
    dropped: BigInt = strawberry.field(
        description="Answers that were dropped since what they read had changed."
    )
    dropped_at: DateTime | None = strawberry.field(description="When any were dropped last.")


def show_counts(counts: AnswerCounts) -> AnswerCache:
    """Return the cache's counts as shown."""
    return AnswerCache(
        hits=BigInt(counts.hits),
        misses=BigInt(counts.misses),
        hit_rate=counts.hit_rate,
        answers=counts.answers,
        dropped=BigInt(counts.dropped),
        dropped_at=show_time(counts.dropped_at),
    )


def show_search(
    found: list[Found] | list[FoundObject], *, grouped: bool, took_ms: float
) -> SearchDocumentsPayload:
    """Return what was found as shown."""
    groups = [_show_group(one) for one in found if isinstance(one, FoundObject)]
    hits = [_show_hit(one) for one in found if isinstance(one, Found)]
    hits += [hit for group in groups for hit in group.hits]
    return SearchDocumentsPayload(
        hits=hits, groups=groups if grouped else None, took_ms=took_ms, user_errors=[]
    )


def show_failed_search(error: StrataError, *, took_ms: float) -> SearchDocumentsPayload:
    """Return a refusal as shown."""
    return SearchDocumentsPayload(
        hits=[], groups=None, took_ms=took_ms, user_errors=[user_error(error)]
    )


def _show_hit(found: Found) -> SearchHit:
    return SearchHit(score=found.score, document=show_document(found.document))


def _show_group(found: FoundObject) -> SearchGroup:
    return SearchGroup(
        object_id=strawberry.ID(found.object_id),
        score=found.score,
        hits=[_show_hit(one) for one in found.found],
    )
