"""Processing what a collection is made of once more."""

from typing import Annotated

import strawberry

from graphql_api.batches.types import Batch, show_batch
from graphql_api.context import Info
from graphql_api.enums import show_enum
from graphql_api.errors import UserError, user_error
from graphql_api.idempotency import key_field, once_only, replayed_field
from graphql_api.payload import Payload
from graphql_api.tasks.types import Task, show_task
from models.errors import StrataError
from workers.reprocessing import Reprocessed, begin_reprocessing, recall_reprocessing

show_enum(
    Reprocessed,
    "Which objects are processed again.",
    {
        Reprocessed.HELD: "Those of which the collection holds documents.",
        Reprocessed.BUCKET: "All of the bucket that the collection is made of.",
    },
)


@strawberry.input(description="A collection to be filled again.")
class ReprocessCollectionInput:
    """Input of reprocessCollection."""

    id: strawberry.ID = strawberry.field(description="The collection.")
    objects: Reprocessed = strawberry.field(
        default=Reprocessed.HELD, description="Which objects are processed again."
    )
    reuse: bool = strawberry.field(
        default=True,
        description="Whether rows whose inputs, extractor and parameters are as before are taken "
        "from what they yielded then, rather than computed.",
    )
    priority: int = strawberry.field(
        default=0, description="Of the batch: -10 to 10; higher goes first."
    )
    idempotency_key: str | None = key_field()


@strawberry.type(description="Answer to reprocessCollection.")
class ReprocessCollectionPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(
        description="A draft; the task adds its objects and submits it. It runs the collection, "
        "what it reads and what is made of it."
    )
    task: Task | None = strawberry.field(description="What to watch until the batch is submitted.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was begun.")
    replayed: bool = replayed_field()


@strawberry.type
class ReprocessingMutation:
    """What can be done to collections that are filled."""

    @strawberry.mutation(
        description="Make the documents of a collection again, by a batch. Each stays readable "
        "until the commit that replaces it, under the same id."
    )
    async def reprocess_collection(
        self,
        info: Info,
        input: Annotated[ReprocessCollectionInput, strawberry.argument(description="Which.")],
    ) -> ReprocessCollectionPayload | None:
        """Begin to reprocess a collection."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: begin_reprocessing(
                    stores,
                    scope,
                    input.id,
                    objects=input.objects,
                    reuse=input.reuse,
                    priority=input.priority,
                    claim=claim,
                ),
                lambda made: recall_reprocessing(scope, made["batch_id"], made["task_id"]),
            )
        except StrataError as error:
            return ReprocessCollectionPayload(
                batch=None, task=None, user_errors=[user_error(error)]
            )
        batch, task = done.value
        return ReprocessCollectionPayload(
            batch=show_batch(batch),
            task=show_task(task),
            user_errors=[],
            replayed=done.replayed,
        )
