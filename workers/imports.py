"""Imports: a file of JSON lines, sent as an upload, becomes objects of a bucket, as a task.

Lines take effect in order, as if each came alone: of two with the same key the later one finds the
earlier. Some lines at a time are written in one transaction with the place after them, the counts
and what was wrong, fenced by the task's epoch: an import that is killed goes on at that place, and
no line counts twice. REJECT_ALL reads the whole file first and writes only if nothing is wrong.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from models.artifacts import upload_key
from models.bucket import Bucket, WritePolicy
from models.database import Session
from models.errors import Conflict, InvalidInput, Permanent, StaleTask
from models.idempotency import Claim
from models.ids import line_error_id, new_id
from models.line_error import LineError
from models.scope import Scope
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task, TaskProgress, TaskType, cancel_task, change_task, insert_task
from models.upload import Upload
from workers.import_lines import (
    GZIP_TYPES,
    Line,
    ParsedLine,
    Place,
    parse_line,
    read_lines,
    unpack,
)
from workers.intake import ErrorPolicy, check_objects, write_objects
from workers.lifecycle import require_active
from workers.object_replay import pack_rows
from workers.object_rows import key_of
from workers.row_answers import RowAnswer, RowOutcome
from workers.task_run import TaskRun
from workers.uploads import discard_lent, find_confirmed, lend_upload

_CHECK: Final = "check"  # the steps
_WRITE: Final = "objects"
_REJECTED: Final = "rejected"  # counts are outcomes in lower case
_ROW_PATH: Final = 2  # parts of a row's path that say which row of its call it was


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
    """Import from where the last attempt came to; then the file may go."""
    try:
        await _import(run)
    except StaleTask:
        raise
    except Permanent:
        await discard_lent(run.task.id)
        raise
    await discard_lent(run.task.id)


async def _import(run: TaskRun) -> None:
    bucket = await run.scope.require(Bucket, run.subject_id)
    error_policy = ErrorPolicy(run.task.parameters["error_policy"])
    if error_policy is ErrorPolicy.REJECT_ALL and run.task.progress.step != _WRITE:
        await _read(run, bucket, _Checked)
        if wrong := run.task.counts.get(_REJECTED):
            lines = sum(run.task.counts.values())
            run.outcome = BatchStatus.FAILED
            run.message = f"{wrong} of {lines} lines are wrong; nothing was written."
            return
        await run.change({"counts": {}})
        await run.mark(_WRITE)
    await _read(run, bucket, _Written)
    _judge(run)


def _judge(run: TaskRun) -> None:
    lines, rejected = sum(run.task.counts.values()), run.task.counts.get(_REJECTED, 0)
    if rejected:
        whole = rejected == lines
        run.outcome = BatchStatus.FAILED if whole else BatchStatus.COMPLETED_WITH_ERRORS
        run.message = f"{rejected} of {lines} lines were rejected; see the task's line errors."


async def _read(run: TaskRun, bucket: Bucket, kind: "type[_Checked | _Written]") -> None:
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


class _Group:
    """Some lines, and the change of the task that says what became of them."""

    step: str

    def __init__(
        self, run: TaskRun, bucket: Bucket, upload: Upload, lines: Sequence[ParsedLine]
    ) -> None:
        self._run = run
        self._bucket = bucket
        self._upload = upload
        self._lines = lines
        self._drafts = [line.draft for line in lines if line.draft is not None]
        parameters = run.task.parameters
        policy = parameters["policy"]
        self._policy = None if policy is None else WritePolicy(policy)
        self._error_policy = ErrorPolicy(parameters["error_policy"])
        self._changed: Task | None = None

    async def _tell(self) -> None:
        """Take over the task as the transaction left it."""
        assert self._changed is not None  # the transaction was committed
        run, run.task = self._run, self._changed
        await run.stores.bus.announce_task(run.task.namespace_id, run.task.id, run.task.sequence)

    async def _settle(self, answers: list[dict[str, Any]], session: Session) -> None:
        """Write down what became of the lines; raises StaleTask."""
        run, counts, errors = self._run, dict(self._run.task.counts), list[LineError]()
        given = iter(answers)
        for line in self._lines:
            answer = next(given) if line.draft is not None else _refusal(line)
            outcome = answer["outcome"].lower()
            counts[outcome] = counts.get(outcome, 0) + 1
            errors += self._errors(line, answer)
        kept = await self._keep(errors, session)
        last = self._lines[-1].after
        # What was unpacked has no total that anybody knows.
        total = None if self._upload.media_type in GZIP_TYPES else self._upload.size_bytes
        progress = TaskProgress(step=self.step, done=last.offset, total=total)
        self._changed = await change_task(
            run.task,
            {
                "progress": progress.model_dump(), "position": str(last), "attempts": 0,
                "counts": counts, "errors_kept": kept,
            },
            lease_seconds=run.stores.settings.worker.lease_seconds,
            session=session,
        )  # fmt: skip
        if self._changed is None:
            raise StaleTask(f"Task {run.task.id} is no longer ours.")

    async def _keep(self, errors: Sequence[LineError], session: Session) -> int:
        """Store as many errors as an import may have; return how many it has now."""
        kept = self._run.task.errors_kept
        room = self._run.stores.settings.api.max_line_errors - kept
        rows = [error.to_mongo() for error in errors[: max(0, room)]]
        if rows:
            await LineError.get_pymongo_collection().insert_many(rows, session=session)
        return kept + len(rows)

    def _errors(self, line: ParsedLine, answer: dict[str, Any]) -> list[LineError]:
        task = self._run.task
        return [
            LineError(
                id=line_error_id(task.id, line=line.after.line, ordinal=ordinal),
                namespace_id=task.namespace_id,
                task_id=task.id,
                line=line.after.line,
                client_ref=line.client_ref,
                rejected=answer["outcome"] == RowOutcome.REJECTED,
                **error,
            )
            for ordinal, error in enumerate(answer["errors"])
        ]


def _refusal(line: ParsedLine) -> dict[str, Any]:
    """Return the answer to a line that describes no object."""
    error = line.error
    assert error is not None  # a line without a draft has one
    return {
        "outcome": str(RowOutcome.REJECTED),
        "errors": [
            {
                "code": error.code,
                "message": error.message,
                "path": list(error.path),
                "hint": error.hint,
            }
        ],
    }


def _of_rows(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return answers of a call as answers to lines: paths begin inside of the object."""
    return [
        {
            **answer,
            "errors": [{**error, "path": error["path"][_ROW_PATH:]} for error in answer["errors"]],
        }
        for answer in answers
    ]


class _Checked(_Group):
    """Lines that are looked at only."""

    step = _CHECK

    async def commit(self) -> None:
        """Write down what would become of the lines."""
        answers = await check_objects(
            self._run.stores, self._run.scope, self._bucket, self._drafts,
            policy=self._policy, error_policy=self._error_policy,
        )  # fmt: skip
        packed = _of_rows(pack_rows(answers))
        await self._run.stores.database.transaction(partial(self._settle, packed))
        await self._tell()


class _Written(_Group):
    """Lines that become objects."""

    step = _WRITE

    async def commit(self) -> None:
        """Write the objects and what became of the lines, in one transaction.

        What another writer, or another line, is in the way of is found line by line.
        """
        try:
            await self._write()
        except StaleTask:
            raise
        except Conflict as error:
            if error.path == ("bucketId",):  # no line's fault
                raise
            await self._apart(error)
        else:
            await self._tell()

    async def _apart(self, error: Conflict) -> None:
        if len(self._lines) > 1:
            for line in self._lines:
                await _Written(self._run, self._bucket, self._upload, [line]).commit()
            return
        answers = _of_rows(pack_rows([RowAnswer(errors=[error])]))
        await self._run.stores.database.transaction(partial(self._settle, answers))
        await self._tell()

    async def _write(self) -> None:
        one_by_one = (
            ErrorPolicy.REJECT_FAILED_ROWS
            if self._error_policy is ErrorPolicy.REJECT_ALL  # the whole file was checked
            else self._error_policy
        )
        await write_objects(
            self._run.stores, self._run.scope, self._bucket.id, self._drafts,
            policy=self._policy, error_policy=one_by_one, claim=_AtCommit(self._settle),
        )  # fmt: skip


class _AtCommit(Claim):
    """What `write_objects` settles in its transaction."""

    def __init__(self, settle: Callable[[list[dict[str, Any]], Session], Awaitable[None]]) -> None:
        super().__init__()
        self._settle = settle

    async def settle(self, session: Session | None, **answer: Any) -> None:
        """Write down what became of the lines."""
        assert session is not None  # of a call that goes on in spite of bad rows
        await self._settle(_of_rows(answer["rows"]), session)
