"""Rows to try an extractor on: usual ones, odd ones, and how they become what it is given.

A lone surrogate never gets as far as an extractor as text: the API and the engine refuse what is no
UTF-8. In a file it does, as the bytes that some programs write for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from engine.spec import BLOB, ExtractorSpec, InputKind, InputSpec, Parameters

Row = Mapping[str, Any]  # by input: a string, JSON as a value, bytes, or a list of numbers
_TYPES: Final[Mapping[InputKind, pa.DataType]] = {
    "text": pa.large_string(),
    "json": pa.large_string(),
    "blob": BLOB,
    "vector": pa.list_(pa.float32()),
}
TEXTS: Final = (
    "The sea rises and falls twice a day, drawn by the moon and the sun.",
    "# Bread\n\nDough of flour and water is leavened.\n\n## Oven\n\nIt bakes for an hour.",
    "Two players move sixteen pieces each. The game ends when a king is mated. " * 6,
)
VALUES: Final = ({"name": "tides", "number": 2}, ["bread", 1.5, None, True], "chess")
ODD_TEXTS: Final = (
    "a\0b",
    "👩‍👩‍👧‍👦 🏳️‍🌈 𝕊𝕥𝕣𝕒𝕥𝕒",
    "שלום \u202eעולם\u202c مرحبا بالعالم",
    "e\u0301\u0302\u0303" * 40,
    "\ufeffa mark of order, \ufffd for what was no text, \ufffe\uffff for no characters",
    "\x01\x02\x7f\x85\u2028\u2029",
    "",
    " \t\n\u3000",
    "nospaces" * 1500,
)
ODD_VALUES: Final[tuple[Any, ...]] = (
    *ODD_TEXTS, {"": {"a\0b": "👩‍👩‍👧‍👦"}}, [], {}, None, True, 2**63 - 1, -1.5e300, [[[[[[0]]]]]],
)  # fmt: skip
ODD_FILES: Final = (b"", b"\0" * 64, "a\ud800b".encode("utf-8", "surrogatepass"), b"\xff\xfe\xfd")
_SAID: Final = ("image/x-🙂\0", "\u202etxet", "")  # of odd files, as their media type


class NoSamples(Exception):
    """Nobody gave files for an input that only its extractor understands."""


def usual_rows(spec: ExtractorSpec, parameters: Parameters) -> list[Row]:
    """Return rows that an extractor should take.

    Raises:
        NoSamples: an input takes files, which cannot be made up.
    """
    if any(item.kind == "blob" for item in spec.inputs):
        raise NoSamples(f"{spec.label} reads files; give some that it can read.")
    made = {item.name: _usual(item, parameters) for item in spec.inputs}
    return [
        {name: values[place % len(values)] for name, values in made.items() if values}
        for place in range(len(TEXTS))
    ]


def odd_rows(spec: ExtractorSpec, parameters: Parameters, usual: Row) -> list[Row]:
    """Return a usual row with one of its inputs replaced by each thing that is odd for it."""
    return [{**usual, item.name: value} for item in spec.inputs for value in _odd(item, parameters)]


def as_batch(spec: ExtractorSpec, rows: Sequence[Row]) -> pa.RecordBatch:
    """Return rows as the engine hands them over."""
    columns = {
        item.name: pa.array([_given(item, row.get(item.name)) for row in rows], _TYPES[item.kind])
        for item in spec.inputs
    }
    return pa.RecordBatch.from_pydict(columns)


def _usual(item: InputSpec, parameters: Parameters) -> Sequence[Any]:
    if item.kind == "vector":
        dimension = _dimension(item, parameters)
        if dimension is None:
            return ()
        return list(np.random.default_rng(7).normal(size=(len(TEXTS), dimension)))
    return TEXTS if item.kind == "text" else VALUES


def _odd(item: InputSpec, parameters: Parameters) -> Sequence[Any]:
    if item.kind == "vector":
        dimension = _dimension(item, parameters)
        return () if dimension is None else ([], [0.5] * (dimension + 1))
    if item.kind == "blob":
        said = [_SAID[place % len(_SAID)] for place in range(len(ODD_FILES))]
        return list(zip(ODD_FILES, said, strict=True))
    return ODD_TEXTS if item.kind == "text" else ODD_VALUES


def _dimension(item: InputSpec, parameters: Parameters) -> int | None:
    return None if item.dimension is None else item.dimension(parameters)


def _given(item: InputSpec, value: Any) -> Any:
    """Return a value as it stands in a column; of a file its bytes, or those with a media type."""
    if item.kind == "blob":
        if value is None:
            return None
        data, said = value if isinstance(value, tuple) else (value, None)
        return {"data": data, "media_type": said, "url": None}
    if item.kind == "json":
        return None if value is None and not item.required else orjson.dumps(value).decode()
    return value
