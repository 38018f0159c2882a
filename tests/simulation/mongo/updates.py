"""Applies updates: operators, and pipelines of $set."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from tests.simulation.errors import Unsupported
from tests.simulation.mongo.expressions import evaluate
from tests.simulation.mongo.matching import compile_filter
from tests.simulation.mongo.values import (
    MISSING,
    equal,
    field_of,
    order_of,
    set_field,
)

Update = Mapping[str, Any] | list[Mapping[str, Any]]


def apply_update(
    changed: dict[str, Any], update: Update, now: datetime, *, inserting: bool = False
) -> dict[str, Any]:
    """Change a document that nobody else holds, and return it."""
    if isinstance(update, list):
        for stage in update:
            _apply_stage(changed, stage, now)
        return changed
    for name, values in update.items():
        if name == "$setOnInsert":
            if inserting:
                for path, value in values.items():
                    set_field(changed, path, value)
        elif name in _OPERATORS:
            for path, value in values.items():
                _OPERATORS[name](changed, path, value, now)
        else:
            raise Unsupported(f"the update {name}")
    return changed


def _apply_stage(document: dict[str, Any], stage: Mapping[str, Any], now: datetime) -> None:
    if set(stage) != {"$set"}:
        raise Unsupported(f"a stage with {sorted(stage)}")
    values: dict[str, Any] = {}
    for path, expression in stage["$set"].items():
        if isinstance(expression, dict) and not any(key.startswith("$") for key in expression):
            raise Unsupported("a plain document in a pipeline's $set, which merges")
        values[path] = evaluate(expression, document, now)  # all see the document as it was
    for path, value in values.items():
        if value is not MISSING:
            set_field(document, path, value)


def _set(document: dict[str, Any], path: str, value: Any, now: datetime) -> None:
    set_field(document, path, value)


def _inc(document: dict[str, Any], path: str, value: Any, now: datetime) -> None:
    present = field_of(document, path)
    if present is MISSING:
        present = 0
    if not isinstance(present, int | float) or isinstance(present, bool):
        raise Unsupported(f"$inc of {present!r}")
    set_field(document, path, present + value)


def _max(document: dict[str, Any], path: str, value: Any, now: datetime) -> None:
    if order_of(value) > order_of(field_of(document, path)):
        set_field(document, path, value)


def _push(document: dict[str, Any], path: str, value: Any, now: datetime) -> None:
    added, slice_ = [value], None
    if isinstance(value, dict) and "$each" in value:
        if set(value) - {"$each", "$slice"}:
            raise Unsupported(f"$push with {sorted(value)}")
        added, slice_ = value["$each"], value.get("$slice")
    present = field_of(document, path)
    items = [*([] if present is MISSING else present), *added]
    if slice_ is not None:
        if slice_ >= 0:
            raise Unsupported("$slice from the front")
        items = items[slice_:]
    set_field(document, path, items)


def _pull(document: dict[str, Any], path: str, value: Any, now: datetime) -> None:
    present = field_of(document, path)
    if present is MISSING:
        return
    if isinstance(value, dict):
        if set(value) != {"$in"}:
            raise Unsupported(f"$pull with {value}")
        gone = compile_filter({"value": value}, now)
        left = [one for one in present if not gone({"value": one})]
    else:
        left = [one for one in present if not equal(one, value)]
    set_field(document, path, left)


_OPERATORS: Final[Mapping[str, Callable[[dict[str, Any], str, Any, datetime], None]]] = {
    "$set": _set,
    "$inc": _inc,
    "$max": _max,
    "$push": _push,
    "$pull": _pull,
}
