"""Frames of the subscriptions of batches."""

from dataclasses import field
from enum import StrEnum

import strawberry

from graphql_api.batches.types import Batch
from graphql_api.enums import BatchStatus, show_enum
from graphql_api.operations.rendering import Renderings
from graphql_api.scalars import JSON, BigInt, DateTime
from models.events import Event


@strawberry.interface(
    description="One message of batchEvents. Snapshots and events join without hole or overlap."
)
class BatchFrame:
    """What every frame has."""

    renderings: strawberry.Private[Renderings] = field(default_factory=Renderings, compare=False)
    cursor: str = strawberry.field(description="Resume after this frame with `after`.")
    from_sequence: BigInt = strawberry.field(description="First event that it covers.")
    sequence: BigInt = strawberry.field(description="Last event that it covers.")
    at: DateTime = strawberry.field(description="When it was made.")


@strawberry.type(description="Everything up to `sequence`, as the batch is.")
class BatchSnapshot(BatchFrame):
    """The first frame without a cursor."""

    batch: Batch = strawberry.field(description="The batch.")


@strawberry.type(description="Something that happened to a batch.")
class BatchEvent:
    """An event as shown."""

    type: str = strawberry.field(description="Past tense, such as `block.done`.")
    sequence: BigInt = strawberry.field(description="Its number in the batch's log, from 1.")
    at: DateTime = strawberry.field(description="When it happened.")
    status: BatchStatus = strawberry.field(description="The batch's status after it.")
    data: JSON = strawberry.field(description="What else is to be said of it.")


@strawberry.type(description="What happened between fromSequence and sequence.")
class BatchEvents(BatchFrame):
    """A frame of events."""

    batch: Batch = strawberry.field(description="The batch, at or past the last of these events.")
    events: list[BatchEvent] = strawberry.field(description="The events, in order, at most 100.")


class DiscontinuityReason(StrEnum):
    """Reasons for a hole."""

    RETENTION = "RETENTION"
    LOG_RESET = "LOG_RESET"


show_enum(
    DiscontinuityReason,
    "Why events are missing.",
    {
        DiscontinuityReason.RETENTION: "They are older than the log is kept.",
        DiscontinuityReason.LOG_RESET: "The cursor is of another log.",
    },
)


@strawberry.type(
    description="Events from fromSequence to sequence are missing; a snapshot of them follows."
)
class BatchDiscontinuity(BatchFrame):
    """A hole, said aloud."""

    reason: DiscontinuityReason = strawberry.field(description="Why.")


def show_event(event: Event) -> BatchEvent:
    """Return an event as shown."""
    return BatchEvent(
        type=str(event.type),
        sequence=BigInt(event.sequence),
        at=DateTime(event.at),
        status=event.status,
        data=JSON(event.data),
    )


class ChangeKind(StrEnum):
    """Kinds of list changes."""

    ENTERED = "ENTERED"
    CHANGED = "CHANGED"
    LEFT = "LEFT"


show_enum(
    ChangeKind,
    "What became of a batch with regard to a filter.",
    {
        ChangeKind.ENTERED: "It matches and did not before.",
        ChangeKind.CHANGED: "It matches still and is different.",
        ChangeKind.LEFT: "It matches no more, or was deleted.",
    },
)


@strawberry.type(description="One batch of a batchesChanged frame.")
class BatchChange:
    """A change as shown."""

    kind: ChangeKind = strawberry.field(description="What became of it.")
    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    batch: Batch | None = strawberry.field(description="As it is now; null when it was deleted.")


@strawberry.type(description="Changes of the list since the last frame, one entry a batch.")
class BatchListFrame:
    """A frame of list changes."""

    renderings: strawberry.Private[Renderings] = field(default_factory=Renderings, compare=False)
    cursor: str = strawberry.field(description="Resume after this frame with `after`.")
    changes: list[BatchChange] = strawberry.field(description="One entry for each batch.")
