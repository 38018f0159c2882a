"""Runs subscriptions: a source of events, each executed to a frame, once for each cohort."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from graphql import ExecutionResult
from graphql.execution import create_source_event_stream

from graphql_api.context import Context
from graphql_api.operations.awaiting import is_awaitable
from graphql_api.operations.documents import Invalid
from graphql_api.operations.executing import Executor
from graphql_api.operations.rendering import Renderings
from graphql_api.operations.running import Answer, Operations, Ready
from graphql_api.permissions import rights_of
from graphql_api.requests import write_json
from models import metrics


@dataclass(frozen=True)
class Frame:
    """One result of a stream: its JSON, and the cursor by which to resume after it."""

    payload: bytes
    cursor: str | None


class Subscription:
    """One subscriber's running operation."""

    def __init__(self, operations: Operations, ready: Ready, context: Context) -> None:
        self._operations = operations
        self._ready = ready
        self._context = context
        self._cohort = (
            ready.operation.document_hash,
            ready.operation.name,
            _canonical(ready),
            rights_of(context.principal),
        )

    @asynccontextmanager
    async def frames(self) -> AsyncIterator[AsyncIterator[Frame]]:
        """Open the stream; it is closed with the block.

        Raises:
            Refused: the caller has no points left.
            Invalid: the variables do not fit.
            StrataError: the source cannot be opened; also while it is read.
        """
        await self._operations.charge(self._ready, self._context)
        executor = self._build()
        source = create_source_event_stream(executor)
        if not hasattr(source, "__aiter__") and not isinstance(source, ExecutionResult):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Invalid(source.errors or [])
        events = cast("AsyncGenerator[Any, None]", source)
        frames = self._render_all(events, executor)
        try:
            with metrics.SUBSCRIPTIONS.labels(self._ready.operation.field_name).track_inprogress():
                yield frames
        finally:
            await frames.aclose()
            await events.aclose()

    def _build(self) -> Executor:
        executor = Executor.build(
            self._operations.schema,
            self._ready.operation.document,
            context_value=self._context,
            raw_variable_values=dict(self._ready.variables),
            operation_name=self._ready.operation.name,
            is_awaitable=is_awaitable,
            hide_suggestions=True,
        )
        if isinstance(executor, list):
            raise Invalid(executor)
        return cast("Executor", executor)

    async def _render_all(
        self, events: AsyncGenerator[Any, None], executor: Executor
    ) -> AsyncGenerator[Frame, None]:
        counted = metrics.FRAMES.labels(self._ready.operation.field_name)
        async for event in events:
            counted.inc()
            payload = await self._render(event, executor)
            yield Frame(payload, getattr(event, "cursor", None))

    async def _render(self, event: Any, executor: Executor) -> bytes:
        shared = getattr(event, "renderings", None)
        if isinstance(shared, Renderings):
            return await shared.get(self._cohort, lambda: self._execute(event, executor))
        made = self._execute(event, executor)
        return made if isinstance(made, bytes) else await made

    def _execute(self, event: Any, executor: Executor) -> bytes | Awaitable[bytes]:
        """Execute one event, with loaders of its own: it must see the present.

        Most selections have nothing to wait for; they are done at once, without a task.
        """
        context = self._context.fresh()
        once = executor.build_per_event_executor(event)
        once.context_value = context
        result = once.execute_operation(False)
        if isinstance(result, ExecutionResult):
            return self._write(result, context)
        return self._write_later(cast("Awaitable[ExecutionResult]", result), context)

    async def _write_later(self, result: Awaitable[ExecutionResult], context: Context) -> bytes:
        return self._write(await result, context)

    def _write(self, result: ExecutionResult, context: Context) -> bytes:
        answer = self._operations.show(result, context)
        return write_json(Answer(answer.data, answer.errors, ran=True).body())


def _canonical(ready: Ready) -> str:
    """Return the variables that decide what is seen, not where in the log a subscriber stands."""
    positional = ready.operation.positional
    seen = {name: value for name, value in ready.variables.items() if name not in positional}
    return json.dumps(seen, sort_keys=True)
