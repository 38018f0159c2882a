"""Idempotency keys of mutations: the input's field, and one line for the resolver.

    done = await once_only(info, input, lambda claim: open_bucket(..., claim=claim), recall)

`open_bucket` settles the claim in its transaction (`models.idempotency`); `recall` reads again what
the first request made, from what was settled.
"""

import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import strawberry
from strawberry.types.unset import UNSET

from graphql_api.context import Info
from models.idempotency import Claim
from workers.idempotency import Outcome, Request, once

_OPERATOR: Final = "operator"  # owns the requests that belong to no namespace
T = TypeVar("T")


class Idempotent(Protocol):
    """An input that may carry a key."""

    idempotency_key: str | None


def key_field() -> Any:
    """Return the field `idempotency_key` of an input."""
    return strawberry.field(
        default=None,
        description="The client's own name of this request, 1 to 255 characters. Repeated with "
        "the same input it answers as the first time, for at least 24 hours.",
    )


def replayed_field() -> Any:
    """Return the field `replayed` of a payload."""
    return strawberry.field(
        default=False, description="Whether this answers with the effect of an earlier request."
    )


async def once_only(
    info: Info,
    input: Idempotent,
    work: Callable[[Claim], Awaitable[T]],
    recall: Callable[[dict[str, Any]], Awaitable[T]],
) -> Outcome[T]:
    """Do a mutation's work once for its key; see `workers.idempotency.once`."""
    principal = info.context.principal
    owner = principal.namespace_id if principal is not None else None
    key = input.idempotency_key
    sha256 = "" if key is None else fingerprint(input)
    request = Request(owner or _OPERATOR, info.field_name, key, sha256)
    return await once(info.context.stores.settings.api, request, work, recall)


def fingerprint(input: Any) -> str:
    """Return a hash of everything in an input but its key."""
    body = json.dumps(_plain(input), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(child)
            for field in dataclasses.fields(value)
            if field.name != "idempotency_key"
            and (child := getattr(value, field.name)) is not UNSET
        }
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return value.isoformat() if isinstance(value, datetime) else value
