"""Committed documents as BSON has them, with the keys of their unique indexes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions

from tests.simulation.mongo.matching import Predicate, compile_filter
from tests.simulation.mongo.values import MISSING, field_of, order_of

_NEVER: Final = datetime.min.replace(tzinfo=UTC)  # an index knows no time
CODEC: Final[CodecOptions[Any]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, eq=False)
class Stored:
    """One version of a document."""

    raw: bytes
    value: Mapping[str, Any]  # never changed

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Stored":
        """Encode a document as the driver does, so that it has only what BSON can say."""
        raw = bson.encode(document, codec_options=CODEC)
        return cls(raw, bson.decode(raw, CODEC))

    def become(self, document: Mapping[str, Any]) -> "Stored":
        """Return the next version of it; itself when nothing is different."""
        raw = bson.encode(document, codec_options=CODEC)
        return self if raw == self.raw else Stored(raw, bson.decode(raw, CODEC))

    def copy(self) -> dict[str, Any]:
        """Return the document for somebody to keep."""
        document: dict[str, Any] = bson.decode(self.raw, CODEC)
        return document


@dataclass(frozen=True)
class Unique:
    """A unique index."""

    fields: tuple[str, ...]
    partial: Mapping[str, Any] | None = None

    @cached_property
    def _holds(self) -> Predicate | None:
        return None if self.partial is None else compile_filter(self.partial, _NEVER)

    def key(self, document: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return a document's key; None when it is not in the index."""
        if self._holds is not None and not self._holds(document):
            return None
        values = (field_of(document, name) for name in self.fields)
        return tuple(order_of(None if one is MISSING else one) for one in values)


Change = tuple[str, Stored | None, Stored | None]  # a collection; a document before and after


@dataclass
class Table:
    """The committed documents of one collection."""

    name: str
    journal: list[Change]
    uniques: list[Unique] = field(default_factory=list)
    rows: dict[Any, Stored] = field(default_factory=dict)
    keys: dict[tuple[int, Any], Any] = field(default_factory=dict)
    shared: bool = False  # with a snapshot: to be copied before it is changed

    def put(self, item_id: Any, row: Stored | None) -> None:
        """Change one document; None removes it."""
        if self.shared:
            self.rows, self.shared = dict(self.rows), False
        before = self.rows.get(item_id)
        self.journal.append((self.name, before, row))
        for number, unique in enumerate(self.uniques):
            old = None if before is None else unique.key(before.value)
            new = None if row is None else unique.key(row.value)
            if old is not None and old != new:
                self.keys.pop((number, old), None)
            if new is not None:
                self.keys[number, new] = item_id
        if row is None:
            self.rows.pop(item_id, None)
        else:
            self.rows[item_id] = row
