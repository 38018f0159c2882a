"""Some lines of an import, and the transaction in which they take effect."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from models.bucket import Bucket, WritePolicy
from models.database import Session
from models.errors import Conflict, StaleTask
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import line_error_id
from models.line_error import LineError
from models.task import Task, TaskProgress, change_task
from models.upload import Upload
from workers import intake
from workers.import_lines import GZIP_TYPES, ParsedLine
from workers.intake import ErrorPolicy, check_objects
from workers.object_replay import pack_rows
from workers.row_answers import RowAnswer, RowOutcome
from workers.task_run import TaskRun

CHECK: Final = "check"  # the steps of an import
WRITE: Final = "objects"
_ROW_PATH: Final = 2  # parts of a row's path that say which row of its call it was


class LineGroup:
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
        await reach(Failpoint.LINES_SETTLED)
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


class CheckedLines(LineGroup):
    """Lines that are looked at only."""

    step = CHECK

    async def commit(self) -> None:
        """Write down what would become of the lines."""
        answers = await check_objects(
            self._run.stores, self._run.scope, self._bucket, self._drafts,
            policy=self._policy, error_policy=self._error_policy,
        )  # fmt: skip
        packed = _of_rows(pack_rows(answers))
        await self._run.stores.database.transaction(partial(self._settle, packed))
        await self._tell()


class WrittenLines(LineGroup):
    """Lines that become objects."""

    step = WRITE

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
                await WrittenLines(self._run, self._bucket, self._upload, [line]).commit()
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
        await intake.write_objects(
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
