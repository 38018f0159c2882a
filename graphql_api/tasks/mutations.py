"""Mutations of tasks: imports, which begin as one, and their end."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.tasks.inputs import CancelTaskInput, ImportObjectsInput
from graphql_api.tasks.types import CancelTaskPayload, ImportObjectsPayload, show_task
from models.errors import StrataError
from models.task import Task as TaskModel
from workers.imports import begin_import, cancel_import


@strawberry.type
class TaskMutation:
    """What can be done to tasks."""

    @strawberry.mutation(
        description="Register the objects of a file of JSON lines, however many, as a task: send "
        "the file with requestUpload and confirmUpload first. Lines take effect in order."
    )
    async def import_objects(
        self,
        info: Info,
        input: Annotated[ImportObjectsInput, strawberry.argument(description="The file.")],
    ) -> ImportObjectsPayload | None:
        """Begin an import."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: begin_import(
                    stores,
                    scope,
                    input.bucket_id,
                    input.upload_id,
                    policy=input.policy,
                    error_policy=input.error_policy,
                    claim=claim,
                ),
                lambda made: scope.require(TaskModel, made["task_id"]),
            )
        except StrataError as error:
            return ImportObjectsPayload(task=None, user_errors=[user_error(error)])
        return ImportObjectsPayload(
            task=show_task(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(
        description="End an import where it is: what it wrote stays. Again, or after its end, it "
        "answers with the task as it is."
    )
    async def cancel_task(
        self,
        info: Info,
        input: Annotated[CancelTaskInput, strawberry.argument(description="Which.")],
    ) -> CancelTaskPayload | None:
        """Cancel a task."""
        try:
            task = await cancel_import(info.context.stores, info.context.scope, input.id)
        except StrataError as error:
            return CancelTaskPayload(task=None, user_errors=[user_error(error)])
        return CancelTaskPayload(task=show_task(task), user_errors=[])
