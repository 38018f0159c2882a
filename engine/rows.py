"""Rows: what an extractor reads, made of objects or of upstream documents by mappings.

object_id source_id          ids of the root object and of what the row was made of
in_<input>                   mapped inputs; null when not given, or when the text lies at an address
                             (of a blob, its address and what is said of it, as JSON: no bytes;
                             of kind `vector`, the upstream document's numbers)
refs                         JSON {input: "s3://..."} of texts to fetch before extraction, or null
passthrough                  JSON of the fields that go into the document
history                      JSON list of enrichments so far, or null
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pyarrow as pa
from pydantic import ValidationError

from engine.filters import compile_filter
from engine.paths import ABSENT, Address, look_up, plain
from engine.spec import ExtractorSpec, InputKind, InputSpec
from models.collection import Collection, InputMapping
from models.fields import BlobRef

_UNKNOWN_BYTES: Final = 64 * 1024  # of a text at an address, when nobody said
INPUT: Final = "in_"
_COLUMNS: Final[Mapping[InputKind, pa.DataType]] = {
    "text": pa.large_string(),
    "json": pa.large_string(),
    "blob": pa.large_string(),
    "vector": pa.list_(pa.float32()),
}


@dataclass(frozen=True)
class SourceRow:
    """An object or an upstream document, as flat fields, with those vectors that are mapped."""

    object_id: str
    source_id: str
    fields: Mapping[str, Any]
    history: list[dict[str, Any]] | None = None
    vectors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A row that lacks something its collection needs."""

    object_id: str
    source_id: str
    message: str


@dataclass(frozen=True)
class Filtered:
    """A row that its collection does not take."""

    source_id: str


@dataclass
class Rows:
    """Flattened rows of one collection, column by column."""

    object_ids: list[str] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    refs: list[str | None] = field(default_factory=list)
    passthrough: list[str] = field(default_factory=list)
    history: list[str | None] = field(default_factory=list)
    weight: int = 0  # bytes to hold when the rows are extracted, about

    def __len__(self) -> int:
        return len(self.object_ids)


class Flattener:
    """Applies one collection's filter and mappings to rows."""

    def __init__(self, collection: Collection, spec: ExtractorSpec) -> None:
        self._inputs = spec.inputs
        self._mappings = {mapping.input: mapping for mapping in collection.input_mappings}
        self._passthrough = collection.passthrough
        self._fits = compile_filter(collection.source.filter)

    def flatten(self, row: SourceRow, into: Rows) -> Missing | Filtered | None:
        """Append the row's columns; or say why not and append nothing."""
        if not self._fits(row.fields):
            return Filtered(row.source_id)
        values: dict[str, Any] = {}
        refs: dict[str, str] = {}
        weight = 0
        for spec in self._inputs:
            found = self._input(spec, row)
            if isinstance(found, _Lack):
                return Missing(row.object_id, row.source_id, found.message)
            if isinstance(found, BlobRef):
                values[spec.name] = found.model_dump_json(by_alias=True, exclude_none=True)
                weight += found.weight
            elif isinstance(found, Address):
                refs[spec.name] = found.url
                weight += found.size_bytes or _UNKNOWN_BYTES
                values[spec.name] = None
            else:
                values[spec.name] = found
        fields = self._fields(row.fields)
        if isinstance(fields, _Lack):
            return Missing(row.object_id, row.source_id, fields.message)
        self._append(into, row, values, refs, fields)
        into.weight += weight + sum(len(value) for value in values.values() if value is not None)
        into.weight += len(into.passthrough[-1])
        return None

    def _append(
        self,
        into: Rows,
        row: SourceRow,
        values: Mapping[str, Any],
        refs: Mapping[str, str],
        fields: Mapping[str, Any],
    ) -> None:
        into.object_ids.append(row.object_id)
        into.source_ids.append(row.source_id)
        for name, value in values.items():
            into.inputs.setdefault(name, []).append(value)
        into.refs.append(orjson.dumps(refs).decode() if refs else None)
        into.passthrough.append(orjson.dumps(fields).decode())
        into.history.append(None if row.history is None else orjson.dumps(row.history).decode())

    def _input(self, spec: InputSpec, row: SourceRow) -> Any:
        """Return what fills an input: a value, an Address, None where it may be absent, a _Lack."""
        mapping = self._mappings.get(spec.name)
        value = ABSENT if mapping is None else _mapped(mapping, row)
        if value is ABSENT or value is None:
            return _lack(spec, mapping) if spec.required else None
        if spec.kind == "blob":
            return _blob_ref(value) or _Lack(f"Input {spec.name!r} must be the address of a blob.")
        if isinstance(value, Address) or spec.kind == "vector":
            return value
        if spec.kind == "json":
            return orjson.dumps(value).decode()
        if isinstance(value, str):
            return value
        return _Lack(f"Input {spec.name!r} must be text but is {type(value).__name__}.")

    def _fields(self, fields: Mapping[str, Any]) -> "dict[str, Any] | _Lack":
        kept: dict[str, Any] = {}
        for entry in self._passthrough:
            value = plain(look_up(fields, entry.path))
            if value is not ABSENT:
                kept[entry.target] = value
            elif entry.required:
                return _Lack(f"Required field {entry.path!r} is missing.")
            elif entry.default is not None:
                kept[entry.target] = entry.default
        return kept


@dataclass(frozen=True)
class _Lack:
    message: str


def _blob_ref(value: Any) -> BlobRef | None:
    """Read a reference: an object's blob, an upstream document's, an address, or a short text."""
    if isinstance(value, Address):
        return BlobRef(url=value.url, media_type=value.media_type, size_bytes=value.size_bytes)
    if isinstance(value, str):
        return BlobRef(url=value) if value.startswith("s3://") else BlobRef(text=value)
    try:
        return BlobRef.model_validate(value)
    except ValidationError:
        return None


def _lack(spec: InputSpec, mapping: InputMapping | None) -> _Lack:
    if mapping is None:
        where = "nothing is mapped to it"
    elif mapping.vector is not None:
        where = f"no vector {mapping.vector!r}"
    else:
        where = f"no field {mapping.path!r}"
    return _Lack(f"Input {spec.name!r} is missing: {where}.")


def _mapped(mapping: InputMapping, row: SourceRow) -> Any:
    if mapping.vector is not None:
        return row.vectors.get(mapping.vector)
    return mapping.literal if mapping.path is None else look_up(row.fields, mapping.path)


def object_row(item: Mapping[str, Any], *, with_history: bool) -> SourceRow:
    """See an object, as it is stored, as a row: metadata, blobs, and `object_id` and `key`."""
    blobs = {blob["property"]: _blob(blob) for blob in item["blobs"]}
    fields = {"object_id": item["_id"], "key": item["key"], **item["metadata"], **blobs}
    return SourceRow(item["_id"], item["_id"], fields, [] if with_history else None)


def _blob(blob: Mapping[str, Any]) -> "str | Address | None":
    if blob["url"] is None:
        text: str | None = blob["text"]
        return text
    return Address(blob["url"], blob["size_bytes"], blob.get("media_type"))


def rows_schema(spec: ExtractorSpec) -> pa.Schema:
    """Return the Arrow schema of an extractor's rows."""
    return pa.schema(
        [
            pa.field("object_id", pa.string()),
            pa.field("source_id", pa.string()),
            *(pa.field(INPUT + item.name, _COLUMNS[item.kind]) for item in spec.inputs),
            pa.field("refs", pa.string()),
            pa.field("passthrough", pa.large_string()),
            pa.field("history", pa.large_string()),
        ]
    )


def rows_table(rows: Rows, spec: ExtractorSpec) -> pa.Table:
    """Return the rows as an Arrow table."""
    columns: dict[str, Sequence[Any]] = {
        "object_id": rows.object_ids,
        "source_id": rows.source_ids,
        **{INPUT + item.name: rows.inputs.get(item.name, []) for item in spec.inputs},
        "refs": rows.refs,
        "passthrough": rows.passthrough,
        "history": rows.history,
    }
    return pa.table(columns, schema=rows_schema(spec))
