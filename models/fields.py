"""The shapes that extractors and stores share: fields, vectors, an extractor with its parameters.

Imports no store: the processes that run extractors start fast because of it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FieldType(StrEnum):
    """What a field of an object holds."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    INTEGER = "INTEGER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"  # text in ISO 8601
    OBJECT = "OBJECT"
    ARRAY = "ARRAY"
    TEXT = "TEXT"  # a blob: inline, or an address
    BLOB = "BLOB"  # bytes of a media type at an address


class FieldSpec(_Part):
    """One field of a bucket's schema or of a collection's output."""

    name: str
    type: FieldType
    required: bool = False
    filterable: bool = True  # whether searches may filter by it


_ACCEPTS: dict[FieldType, tuple[type, ...]] = {
    FieldType.STRING: (str,),
    FieldType.NUMBER: (int, float),
    FieldType.INTEGER: (int,),
    FieldType.BOOLEAN: (bool,),
    FieldType.DATETIME: (str,),
    FieldType.OBJECT: (dict,),
    FieldType.ARRAY: (list,),
    FieldType.TEXT: (str,),
    FieldType.BLOB: (str,),
}


def accepts(kind: FieldType, value: Any) -> bool:
    """Tell whether a JSON value fits the type; a boolean is no number."""
    if isinstance(value, bool):
        return kind is FieldType.BOOLEAN
    if not isinstance(value, _ACCEPTS[kind]):
        return False
    return kind is not FieldType.DATETIME or _is_datetime(str(value))


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_UNKNOWN_BYTES: Final = 1024 * 1024  # of a blob, when nobody said


class BlobRef(_Part):
    """What rows and documents hold of a blob: its address, or a short text in its place."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)

    url: str | None = None
    text: str | None = None
    media_type: str | None = None
    size_bytes: int | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.url is None) == (self.text is None):
            raise ValueError("give exactly one of url and text")
        return self

    @property
    def weight(self) -> int:
        """Bytes to hold when it is read, about."""
        return len(self.text or "") or self.size_bytes or _UNKNOWN_BYTES


class ExtractorChoice(_Part):
    """Which extractor runs, with which parameters (complete, defaults filled in)."""

    name: str
    version: str
    parameters: dict[str, Any] = {}
    parameters_hash: str = ""

    @property
    def label(self) -> str:
        """`name@version`, as it enters document ids."""
        return f"{self.name}@{self.version}"


class VectorKind(StrEnum):
    """How a vector is written and compared."""

    DENSE = "DENSE"  # always as many numbers
    SPARSE = "SPARSE"  # weights of few out of very many terms
    MULTI = "MULTI"  # a dense vector for each token; compared by the best match of each (MaxSim)


class VectorField(_Part):
    """One vector of each document."""

    name: str
    dimension: int  # 0 for a sparse one, which has no length
    distance: str = "cosine"  # a sparse one is always compared by the dot product
    kind: VectorKind = VectorKind.DENSE
    idf: bool = False  # sparse: rare terms weigh more, by the whole collection's statistics
