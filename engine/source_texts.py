"""Fetches the texts of a block that lie at addresses; one that cannot be had fails its row."""

import asyncio
from collections.abc import Callable
from typing import Final

import orjson
import pyarrow as pa

from engine.rows import INPUT
from engine.spec import ExtractorSpec, InputSpec, RowFailure
from models.artifacts import ArtifactStore
from models.errors import ErrorCategory, InvalidInput, NotFound, StrataError

_TEXT_BYTES: Final = 16 * 1024 * 1024
_FETCHES: Final = 8
_EMPTY: Final = {"text": "", "json": "null"}  # what an extractor sees of a row that failed


async def fetch_texts(
    artifacts: ArtifactStore, table: pa.Table, spec: ExtractorSpec, progress: Callable[[], None]
) -> tuple[pa.Table, list[RowFailure]]:
    """Fill in the inputs that `refs` names; return the rows that could not be filled too.

    Raises:
        StoreUnavailable: S3 does not answer, which is no row's fault.
    """
    refs = table.column("refs")
    if refs.null_count == len(refs):
        return table, []
    inputs = {item.name: item for item in spec.inputs}
    wanted = [
        (row, inputs[name], url)
        for row, body in enumerate(refs.to_pylist())
        if body is not None
        for name, url in orjson.loads(body).items()
    ]
    gate = asyncio.Semaphore(_FETCHES)

    async def fetch(row: int, item: InputSpec, url: str) -> str | RowFailure:
        async with gate:
            found = await _fetch(artifacts, row, item, url)
            progress()
            return found

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(*one)) for one in wanted]
    except* StrataError as failures:
        raise _first(failures) from None
    columns = {name: table.column(INPUT + name).to_pylist() for name in inputs}
    failed: list[RowFailure] = []
    for (row, item, _), task in zip(wanted, tasks, strict=True):
        found = task.result()
        if isinstance(found, RowFailure):
            failed.append(found)
            found = _EMPTY[item.kind]
        columns[item.name][row] = found
    for name, values in columns.items():
        index = table.schema.get_field_index(INPUT + name)
        table = table.set_column(index, INPUT + name, pa.array(values, pa.large_string()))
    return table, failed


async def _fetch(artifacts: ArtifactStore, row: int, item: InputSpec, url: str) -> str | RowFailure:
    try:
        text = (await artifacts.read_source(url, limit=_TEXT_BYTES)).decode()
        return orjson.dumps(text).decode() if item.kind == "json" else text
    except UnicodeDecodeError as error:
        return RowFailure(
            row,
            ErrorCategory.VALIDATION,
            f"Input {item.name!r}: {url} is not UTF-8 at byte {error.start}.",
            hint="Store the text as UTF-8.",
        )
    except (InvalidInput, NotFound) as error:
        return RowFailure(
            row,
            ErrorCategory.DEPENDENCY,
            f"Input {item.name!r}: {error.message}",
            hint=error.hint or "Check the object's address.",
        )


def _first(failures: BaseExceptionGroup[StrataError]) -> StrataError:
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
