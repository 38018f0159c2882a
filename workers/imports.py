"""Imports: a file of JSON lines, sent as an upload, becomes objects of a bucket, as a task.

Lines take effect in order, as if each came alone: of two with the same key the later one finds the
earlier. Some lines at a time are written in one transaction with the place after them, the counts
and what was wrong, fenced by the task's epoch: an import that is killed goes on at that place, and
no line counts twice. REJECT_ALL reads the whole file first and writes only if nothing is wrong.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

from models.artifacts import upload_key
from models.bucket import Bucket, WritePolicy
from models.database import Session
from models.errors import Conflict, InvalidInput
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import new_id
from models.scope import Scope
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task, TaskType, cancel_task, insert_task
from models.upload import Upload
from workers.import_groups import WRITE, CheckedLines, WrittenLines
from workers.import_lines import (
    GZIP_TYPES,
    Line,
    ParsedLine,
    Place,
    parse_line,
    read_lines,
    unpack,
)
from workers.intake import ErrorPolicy
from workers.lifecycle import require_active
from workers.object_rows import key_of
from workers.task_run import TaskRun
from workers.uploads import discard_lent, find_confirmed, lend_upload

_REJECTED: Final = "rejected"  # counts are outcomes in lower case


async def begin_import(
    stores: Stores,
    scope: Scope,
    bucket_id: str,
    upload_id: str,
    *,
    policy: WritePolicy | None,
    error_policy: ErrorPolicy,
    claim: Claim | None = None,
) -> Task:
    """Accept the import of a confirmed upload; return the task to watch.

    Raises:
        NotFound, Conflict: no such bucket, or it is being deleted; or the upload has a use already.
        InvalidInput: it is no confirmed upload of the bucket.
    """
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    upload = (await find_confirmed(scope, bucket.id, [upload_id])).get(upload_id)
    if upload is None:
        raise InvalidInput(
            f"{upload_id!r} is no confirmed upload of this bucket.",
            path=("uploadId",),
            hint="Call confirmUpload first.",
        )
    task = Task(
        id=new_id("tsk"),
        namespace_id=scope.namespace_id,
        type=TaskType.OBJECTS_IMPORT,
        subject_id=bucket.id,
        status=BatchStatus.QUEUED,
        parameters={
            "upload_id": upload.id,
            "policy": None if policy is None else str(policy),
            "error_policy": str(error_policy),
        },
    )

    async def accept(session: Session) -> None:
        await lend_upload(session, upload, task.id)
        await insert_task(session, task)
        await (claim or Claim()).settle(session, task_id=task.id)

    await stores.database.transaction(accept)
    await reach(Failpoint.TASK_ACCEPTED)
    await stores.bus.ring_tasks(task.id)
    return task


async def cancel_import(stores: Stores, scope: Scope, task_id: str) -> Task:
    """End an import where it is; what it wrote stays. One that has ended is answered as it is.

    Raises:
        NotFound: no such task.
        Conflict: it is no import.
    """
    task = await scope.require(Task, task_id, path=("id",))
    if task.type is not TaskType.OBJECTS_IMPORT:
        raise Conflict(
            f"A task {task.type} cannot be canceled.",
            path=("id",),
            hint="cancelBatch cancels batches; deletions that were accepted are done.",
        )

    async def work(session: Session) -> Task | None:
        canceled = await cancel_task(session, task_id)
        if canceled is not None:
            await discard_lent(task_id, session)
        return canceled

    canceled = await stores.database.transaction(work)
    if canceled is None:
        return await scope.require(Task, task_id, path=("id",))
    await stores.bus.mirror_task(task_id, canceled.model_dump_json(by_alias=True))
    await stores.bus.announce_task(canceled.namespace_id, task_id, canceled.sequence)
    return canceled


async def import_objects_job(run: TaskRun) -> None:
    """Import from where the last attempt came to; when the task ends, the file may go."""
    run.at_end = partial(discard_lent, run.task.id)
    bucket = await run.scope.require(Bucket, run.subject_id)
    error_policy = ErrorPolicy(run.task.parameters["error_policy"])
    if error_policy is ErrorPolicy.REJECT_ALL and run.task.progress.step != WRITE:
        await _read(run, bucket, CheckedLines)
        if wrong := run.task.counts.get(_REJECTED):
            lines = sum(run.task.counts.values())
            run.outcome = BatchStatus.FAILED
            run.message = f"{wrong} of {lines} lines are wrong; nothing was written."
            return
        await run.change({"counts": {}})
        await reach(Failpoint.LINES_CHECKED)
        await run.mark(WRITE)
    await _read(run, bucket, WrittenLines)
    _judge(run)


def _judge(run: TaskRun) -> None:
    lines, rejected = sum(run.task.counts.values()), run.task.counts.get(_REJECTED, 0)
    if rejected:
        whole = rejected == lines
        run.outcome = BatchStatus.FAILED if whole else BatchStatus.COMPLETED_WITH_ERRORS
        run.message = f"{rejected} of {lines} lines were rejected; see the task's line errors."


async def _read(run: TaskRun, bucket: Bucket, kind: type[CheckedLines | WrittenLines]) -> None:
    """Read the file from the task's place on, and give each group of lines its effect."""
    upload = await run.scope.require(Upload, run.task.parameters["upload_id"])
    settings = run.stores.settings.api
    start = Place.parse(run.task.position)
    async with aclosing(_lines(run, upload, start)) as groups:
        async for lines in groups:
            if not lines:
                await _stay(run, kind.step)
            parsed = [parse_line(line, longest=settings.max_line_bytes) for line in lines]
            for some in _without_repeats(bucket, parsed):
                await kind(run, bucket, upload, some).commit()


def _lines(run: TaskRun, upload: Upload, start: Place) -> AsyncGenerator[list[Line], None]:
    packed = upload.media_type in GZIP_TYPES
    pieces = _bytes_of(run.stores, upload, start=0 if packed else start.offset)
    text = unpack(pieces, skip=start.offset) if packed else pieces
    return read_lines(text, start, run.stores.settings.api)


async def _bytes_of(stores: Stores, upload: Upload, *, start: int) -> AsyncGenerator[bytes, None]:
    if start >= upload.size_bytes:  # a part that is empty cannot be asked for
        return
    key = upload_key(upload.namespace_id, upload.id)
    async with aclosing(stores.artifacts.stream_upload(key, start=start)) as pieces:
        async for piece in pieces:
            yield piece


async def _stay(run: TaskRun, step: str) -> None:
    """Keep the task while nothing of the file can be used yet."""
    progress = run.task.progress
    await run.mark(step, done=progress.done, total=progress.total, position=run.task.position)


def _without_repeats(
    bucket: Bucket, parsed: Sequence[ParsedLine]
) -> Iterator[Sequence[ParsedLine]]:
    """Cut lines before each key that came before, so that it finds what that line wrote."""
    begin, seen = 0, set[str]()
    for place, line in enumerate(parsed):
        key = None if line.draft is None else key_of(bucket, line.draft)
        if key is None:
            continue
        if key in seen:
            yield parsed[begin:place]
            begin, seen = place, set()
        seen.add(key)
    if parsed[begin:]:
        yield parsed[begin:]
