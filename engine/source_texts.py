"""Fetches the texts of a block that lie at addresses; one that cannot be had fails its row."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
import pyarrow as pa

from engine.rows import INPUT
from engine.spec import ExtractorSpec, InputSpec, RowFailure
from engine.together import together
from models.errors import AddressUnavailable, ErrorCategory, InvalidInput, NotFound, StrataError

Read = Callable[[str, int], Awaitable[bytes]]  # of an address, at most so many bytes
_TEXT_BYTES: Final = 16 * 1024 * 1024
_FETCHES: Final = 8
_EMPTY: Final = {"text": "", "json": "null"}  # what an extractor sees of a row that failed


async def fetch_texts(
    read: Read, table: pa.Table, spec: ExtractorSpec, progress: Callable[[], None]
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
            found = await _fetch(read, row, item, url)
            progress()
            return found

    answers = await together(fetch(*one) for one in wanted)
    columns = {name: table.column(INPUT + name).to_pylist() for name in inputs}
    failed: list[RowFailure] = []
    for (row, item, _), found in zip(wanted, answers, strict=True):
        if isinstance(found, RowFailure):
            failed.append(found)
        text = _EMPTY[item.kind] if isinstance(found, RowFailure) else found
        columns[item.name][row] = text
    for name, values in columns.items():
        index = table.schema.get_field_index(INPUT + name)
        table = table.set_column(index, INPUT + name, pa.array(values, pa.large_string()))
    return table, failed


async def _fetch(read: Read, row: int, item: InputSpec, url: str) -> str | RowFailure:
    try:
        text = (await read(url, _TEXT_BYTES)).decode()
        return orjson.dumps(text).decode() if item.kind == "json" else text
    except UnicodeDecodeError as error:
        return RowFailure(
            row,
            ErrorCategory.VALIDATION,
            f"Input {item.name!r}: {url} is not UTF-8 at byte {error.start}.",
            hint="Store the text as UTF-8.",
        )
    except (InvalidInput, NotFound, AddressUnavailable) as error:
        return not_to_be_had(row, item, error)


def not_to_be_had(row: int, item: InputSpec, error: StrataError) -> RowFailure:
    """Return the failure of a row whose input cannot be fetched."""
    passes = isinstance(error, AddressUnavailable)
    return RowFailure(
        row,
        ErrorCategory.NETWORK if passes else ErrorCategory.DEPENDENCY,
        f"Input {item.name!r}: {error.message}",
        hint=error.hint or "Check the object's address.",
        transient=passes,
    )
