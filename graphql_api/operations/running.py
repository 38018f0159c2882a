"""Runs operations: one entrance for every transport.

An operation is first made ready, without waiting for anything: text found, limits held, rights
checked, cost known. Then its points are taken, then it runs, within its time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute

from graphql_api.context import Context
from graphql_api.errors import Refused, present
from graphql_api.operations.awaiting import is_awaitable
from graphql_api.operations.caching import show_cache
from graphql_api.operations.charge import Charge
from graphql_api.operations.charging import Charging
from graphql_api.operations.documents import Documents, Invalid, Operation
from graphql_api.operations.executing import Executor
from graphql_api.operations.limits import refuse_cost
from graphql_api.operations.trusted import TrustedDocuments, is_registration
from graphql_api.permissions import may_introspect
from models import metrics
from models.bus import Bus
from models.ending import end_tasks
from models.errors import StrataError
from models.logs import bound
from models.settings import ApiSettings
from models.traces import span

_WATCH_SECONDS: Final = 0.1  # shorter operations are finished whether anyone listens or not
Gone = Callable[[], Awaitable[None]]  # returns when the client has left


@dataclass(frozen=True)
class Request:
    """An operation as it was sent."""

    query: str | None
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None


@dataclass(frozen=True)
class Ready:
    """An operation that may run."""

    operation: Operation
    variables: Mapping[str, Any]
    cost: int

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.kind


@dataclass
class Answer:
    """What an operation came to. Without `ran` it never began and has no data."""

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    ran: bool
    charge: Charge | None = None
    cache: dict[str, Any] | None = None
    retry_after: float | None = None

    @property
    def code(self) -> str:
        """The first error's code."""
        return str((self.errors[0].extensions or {}).get("code", "")) if self.errors else ""

    def body(self) -> dict[str, Any]:
        """Return it as JSON is made of."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = [error.formatted for error in self.errors]
        if self.ran:
            body["data"] = self.data
        extensions = {
            **({} if self.charge is None else {"cost": self.charge.show()}),
            **({} if self.cache is None else {"cache": self.cache}),
        }
        if extensions:
            body["extensions"] = extensions
        return body


class Operations:
    """Whatever a process's operations share."""

    def __init__(self, schema: GraphQLSchema, bus: Bus, settings: ApiSettings) -> None:
        self.schema = schema
        self.limits = settings.limits
        self.charging = Charging(bus, settings.limits)
        self.trusted = TrustedDocuments(
            settings.trusted_documents, settings.trusted_documents_folder
        )
        self._documents = Documents(schema, settings.limits)

    def prepare(self, request: Request, context: Context) -> Ready:
        """Make an operation ready.

        Raises:
            Refused: it may not run.
            Invalid: its document is wrong.
        """
        introspects = may_introspect(context.principal)
        if request.extensions.get("cache") is False:
            context.bypass_cache = True
        text = self.trusted.resolve(
            request.query,
            document_id=request.document_id,
            extensions=request.extensions,
            exempt=introspects,
        )
        if not text:
            raise Refused("BAD_REQUEST", "There is no `query`.")
        operation = self._documents.choose(text, request.operation_name)
        if operation.introspects and not introspects:
            raise Refused(
                "FORBIDDEN", "This key may not introspect the schema.", reason="INTROSPECTION"
            )
        if context.principal is not None and is_registration(request.query, request.extensions):
            self.trusted.register(text)
        variables = request.variables or {}
        cost = max(1, operation.cost.resolve(variables))
        if cost > self.limits.cost:
            raise refuse_cost(cost, self.limits.cost)
        return Ready(operation, variables, cost)

    async def charge(self, ready: Ready, context: Context) -> Charge:
        """Take an operation's points; raises Refused when its caller has too few."""
        return await self.charging.charge(context.principal, context.address, ready.cost)

    async def run(self, ready: Ready, context: Context, gone: Gone | None = None) -> Answer:
        """Run a query or a mutation to its answer."""
        kind, field_name = ready.kind.value, ready.operation.field_name
        spent = metrics.OPERATION_SECONDS.labels(kind, field_name).time()
        with (
            spent,
            bound(request_id=context.request_id),
            span(f"{kind} {field_name}", parent=context.traceparent, cost=ready.cost),
        ):
            answer = await self._run(ready, context, gone)
        metrics.OPERATIONS.labels(kind, field_name, answer.code or "OK").inc()
        return answer

    async def _run(self, ready: Ready, context: Context, gone: Gone | None) -> Answer:
        try:
            charge = context.charge = await self.charge(ready, context)
        except Refused as error:
            return self.refuse(error, context)
        is_query = ready.kind is OperationType.QUERY
        seconds = self.limits.query_seconds if is_query else self.limits.mutation_seconds
        try:
            result = self._execute(ready, context)
            if not isinstance(result, ExecutionResult):
                result = await _within(result, seconds, gone if is_query else None)
        except TimeoutError:
            stopped = Refused(
                "OPERATION_TIMEOUT",
                f"The operation took more than {seconds:g} s and was stopped.",
                reason="QUERY_TIME" if is_query else "MUTATION_TIME",
            )
            return self.refuse(stopped, context)
        answer = self.show(result, context)
        if answer.ran:
            answer.charge = charge
            answer.cache = show_cache(context.recalled)
        self.charging.settle(context.principal, context.address, charge, result.data)
        return answer

    def show(self, result: ExecutionResult, context: Context) -> Answer:
        """Return a result as its caller may see it."""
        errors = self._present(result.errors or [], context)
        never_ran = result.data is None and not any(error.path for error in errors)
        return Answer(result.data, errors, ran=not (errors and never_ran))

    def refuse(self, error: Exception, context: Context) -> Answer:
        """Return the answer to an operation that does not run."""
        match error:
            case Invalid():
                errors = error.errors
            case GraphQLError():
                errors = [error]
            case _:
                errors = [GraphQLError(str(error), original_error=error)]
        retry_after = error.retry_after if isinstance(error, Refused) else None
        return Answer(None, self._present(errors, context), ran=False, retry_after=retry_after)

    def _execute(
        self, ready: Ready, context: Context
    ) -> ExecutionResult | Awaitable[ExecutionResult]:
        return execute(
            self.schema,
            ready.operation.document,
            context_value=context,
            variable_values=dict(ready.variables),
            operation_name=ready.operation.name,
            executor_class=Executor,
            is_awaitable=is_awaitable,
            hide_suggestions=True,
        )

    def _present(self, errors: list[GraphQLError], context: Context) -> list[GraphQLError]:
        most = self.limits.errors
        shown = [present(error, request_id=context.request_id) for error in errors[:most]]
        if len(errors) > most:
            note = GraphQLError(f"There are {len(errors) - most} more errors.")
            note.extensions = {**(shown[-1].extensions or {}), "reason": "TRUNCATED"}
            shown.append(note)
        return shown


async def _within(
    result: Awaitable[ExecutionResult], seconds: float, gone: Gone | None
) -> ExecutionResult:
    """Await a result for some time, or until its client leaves.

    Raises:
        TimeoutError: the time is over, or nobody waits any more.
    """
    if gone is None:
        async with asyncio.timeout(seconds):
            return await result
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    async with asyncio.timeout(seconds) as patience:

        async def watch(left: Gone) -> None:
            await left()
            patience.reschedule(loop.time())

        timer = loop.call_later(
            _WATCH_SECONDS, lambda: watching.append(loop.create_task(watch(gone)))
        )
        try:
            return await result
        finally:
            timer.cancel()
            await end_tasks(*watching)


EXPECTED: Final = (Refused, Invalid, StrataError)
