"""Frames of the subscription of a namespace's log."""

import strawberry

from graphql_api.batches.frames import DiscontinuityReason
from graphql_api.enums import show_enum
from graphql_api.scalars import JSON, BigInt, DateTime
from models.events import Entry, Event, SubjectType

show_enum(
    SubjectType,
    "What something happened to.",
    {
        SubjectType.BATCH: "A batch.",
        SubjectType.BUCKET: "A bucket, or objects of it.",
        SubjectType.COLLECTION: "A collection, or documents of it.",
        SubjectType.WEBHOOK: "A webhook.",
    },
)


@strawberry.interface(
    description="One message of namespaceEvents. Frames join without hole or overlap."
)
class NamespaceFrame:
    """What every frame has."""

    cursor: str = strawberry.field(description="Resume after this frame with `after`.")
    from_position: BigInt = strawberry.field(description="First position that it covers.")
    position: BigInt = strawberry.field(description="Last position that it covers.")
    at: DateTime = strawberry.field(description="When it was made.")


@strawberry.type(description="Something that happened in a namespace.")
class NamespaceEvent:
    """An entry of the log as shown."""

    id: strawberry.ID = strawberry.field(description="Its id, also the `webhook-id` of deliveries.")
    type: str = strawberry.field(description="Past tense, such as `object.created`.")
    position: BigInt = strawberry.field(description="Its place in the namespace's log, from 1.")
    at: DateTime = strawberry.field(description="When it happened.")
    subject_type: SubjectType = strawberry.field(description="What it happened to.")
    subject_id: strawberry.ID = strawberry.field(description="The subject's id.")
    bucket_id: strawberry.ID | None = strawberry.field(description="The bucket concerned.")
    collection_ids: list[strawberry.ID] = strawberry.field(description="Collections concerned.")
    sequence: BigInt | None = strawberry.field(
        description="Its number in the batch's own log; null for other subjects."
    )
    data: JSON = strawberry.field(description="What else is to be said of it.")


@strawberry.type(description="What happened between fromPosition and position and was asked for.")
class NamespaceEvents(NamespaceFrame):
    """A frame of events."""

    events: list[NamespaceEvent] = strawberry.field(
        description="In order, at most 100. Empty in the first frame without a cursor."
    )


@strawberry.type(description="Events from fromPosition to position cannot be told.")
class NamespaceDiscontinuity(NamespaceFrame):
    """A hole, said aloud."""

    reason: DiscontinuityReason = strawberry.field(description="Why.")


def show_entry(entry: Entry) -> NamespaceEvent:
    """Return an entry of the log as shown."""
    kind, subject_id = entry.subject
    return NamespaceEvent(
        id=strawberry.ID(entry.id),
        type=str(entry.type),
        position=BigInt(entry.position),
        at=DateTime(entry.at),
        subject_type=kind,
        subject_id=strawberry.ID(subject_id),
        bucket_id=None if entry.bucket_id is None else strawberry.ID(entry.bucket_id),
        collection_ids=[strawberry.ID(one) for one in entry.collection_ids],
        sequence=BigInt(entry.sequence) if isinstance(entry, Event) else None,
        data=JSON(entry.data),
    )
