"""What createObjects answered, kept with its idempotency key: ids and errors, not the objects."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import Permanent, StrataError
from models.object import Object
from models.scope import Scope
from workers.row_answers import RowAnswer, RowOutcome


def pack_rows(answers: Sequence[RowAnswer]) -> list[dict[str, Any]]:
    """Return answers as MongoDB keeps them."""
    return [
        {
            "outcome": str(answer.outcome),
            "object_id": None if answer.object is None else answer.object.id,
            "errors": [_pack_error(error) for error in answer.errors],
        }
        for answer in answers
    ]


async def recall_rows(scope: Scope, rows: Sequence[Mapping[str, Any]]) -> list[RowAnswer]:
    """Return the answers again, with the objects as they are now; None for one that is gone."""
    ids = [row["object_id"] for row in rows if row["object_id"] is not None]
    found = await scope.find_many(Object, ids)
    return [
        RowAnswer(
            RowOutcome(row["outcome"]),
            found.get(row["object_id"]),
            [_unpack_error(error) for error in row["errors"]],
        )
        for row in rows
    ]


def _pack_error(error: StrataError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "path": list(error.path),
        "hint": error.hint,
    }


def _unpack_error(row: Mapping[str, Any]) -> StrataError:
    error = Permanent(row["message"], path=row["path"], hint=row["hint"])
    error.code = row["code"]
    return error
