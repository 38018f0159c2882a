"""Answers to changes of objects."""

from collections.abc import Sequence

import strawberry

from graphql_api.buckets.types import Object, show_object
from graphql_api.enums import RowOutcome
from graphql_api.errors import UserError, user_error
from graphql_api.idempotency import replayed_field
from graphql_api.payload import Payload
from workers.intake import RowAnswer


@strawberry.type(description="What became of one row of updateObjects.")
class UpdateObjectResult:
    """One row's outcome."""

    index: int = strawberry.field(description="Place of the row in the input, from 0.")
    client_ref: str | None = strawberry.field(description="As the row gave it.")
    outcome: RowOutcome = strawberry.field(description="What became of it.")
    object: Object | None = strawberry.field(description="The object as it is now.")
    errors: list[UserError] = strawberry.field(description="Why it was rejected.")


@strawberry.type(description="Answer to updateObjects.")
class UpdateObjectsPayload(Payload):
    """What came of it."""

    results: list[UpdateObjectResult] = strawberry.field(
        description="One entry for each input row, in order."
    )
    updated_count: int = strawberry.field(description="Rows that changed objects.")
    failed_count: int = strawberry.field(description="Rows that were rejected.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was tried.")
    replayed: bool = replayed_field()


@strawberry.type(description="What became of one id of deleteObjects.")
class DeleteObjectResult:
    """One id's outcome."""

    index: int = strawberry.field(description="Place of the id in the input, from 0.")
    deleted_object_id: strawberry.ID | None = strawberry.field(description="The object, now gone.")
    errors: list[UserError] = strawberry.field(description="Why it was not deleted.")


@strawberry.type(description="Answer to deleteObjects.")
class DeleteObjectsPayload(Payload):
    """What came of it."""

    results: list[DeleteObjectResult] = strawberry.field(
        description="One entry for each id, in order."
    )
    deleted_count: int = strawberry.field(description="Objects that are gone.")
    failed_count: int = strawberry.field(description="Ids that were rejected.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was tried.")
    replayed: bool = replayed_field()


def show_updated(
    refs: Sequence[str | None],
    answers: Sequence[RowAnswer],
    errors: list[UserError],
    *,
    replayed: bool = False,
) -> UpdateObjectsPayload:
    """Return what became of the rows of updateObjects."""
    return UpdateObjectsPayload(
        results=[
            UpdateObjectResult(
                index=index,
                client_ref=ref,
                outcome=answer.outcome,
                object=None if answer.object is None else show_object(answer.object),
                errors=[user_error(error) for error in answer.errors],
            )
            for index, (ref, answer) in enumerate(zip(refs, answers, strict=True))
        ],
        updated_count=_count(answers, RowOutcome.UPDATED),
        failed_count=_count(answers, RowOutcome.REJECTED),
        user_errors=errors,
        replayed=replayed,
    )


def show_deleted(
    ids: Sequence[str],
    answers: Sequence[RowAnswer],
    errors: list[UserError],
    *,
    replayed: bool = False,
) -> DeleteObjectsPayload:
    """Return what became of the ids of deleteObjects."""
    return DeleteObjectsPayload(
        results=[
            DeleteObjectResult(
                index=index,
                deleted_object_id=strawberry.ID(object_id)
                if answer.outcome is RowOutcome.DELETED
                else None,
                errors=[user_error(error) for error in answer.errors],
            )
            for index, (object_id, answer) in enumerate(zip(ids, answers, strict=True))
        ],
        deleted_count=_count(answers, RowOutcome.DELETED),
        failed_count=_count(answers, RowOutcome.REJECTED),
        user_errors=errors,
        replayed=replayed,
    )


def _count(answers: Sequence[RowAnswer], outcome: RowOutcome) -> int:
    return sum(answer.outcome is outcome for answer in answers)
