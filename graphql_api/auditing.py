"""Writes every mutation into the audit log, whatever comes of it.

`record` goes in front of the rights, so that a refusal is on record too. Who has no key has no
namespace whose log it could be in: those attempts are counted by the limit of `permissions`.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from graphql import GraphQLResolveInfo, GraphQLSchema, default_field_resolver
from pymongo.errors import PyMongoError

from graphql_api.context import Context
from models.audit import OPERATOR, AuditEntry, begin_entry, end_entry
from models.errors import StoreUnavailable, StrataError
from models.ids import new_id

logger = logging.getLogger(__name__)
_MAX_SUBJECTS: Final = 10
_DONE: Final = "DONE"
Resolver = Callable[..., Any]


def record(schema: GraphQLSchema) -> None:
    """Put the log in front of every mutation."""
    if schema.mutation_type is not None:
        for field in schema.mutation_type.fields.values():
            field.resolve = _recorded(field.resolve or default_field_resolver)


def _recorded(resolve: Resolver) -> Resolver:
    async def resolve_and_record(
        source: Any, info: GraphQLResolveInfo[Context], **arguments: Any
    ) -> Any:
        context = info.context
        if context.principal is None:
            return await resolve(source, info, **arguments)
        entry = _entry(info.field_name, context, arguments)
        try:
            await begin_entry(entry)
        except PyMongoError as error:
            raise StoreUnavailable("The audit log cannot be written now.") from error
        outcome, payload = "CUT_OFF", None
        try:
            payload = await resolve(source, info, **arguments)
            outcome = _outcome(payload)
        except StrataError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = "FAILED"
            raise
        finally:
            await _end(entry, outcome, payload)
        return payload

    return resolve_and_record


def _entry(action: str, context: Context, arguments: dict[str, Any]) -> AuditEntry:
    principal = context.principal
    assert principal is not None  # the caller has looked
    named = arguments.get("input")
    named_namespace = named.get("namespaceId") if isinstance(named, dict) else None
    return AuditEntry(
        id=new_id("aud"),
        namespace_id=principal.namespace_id or named_namespace or OPERATOR,
        action=action,
        key_id=principal.key_id,
        address=context.address,
        request_id=context.request_id,
        subject_ids=list(_ids(named))[:_MAX_SUBJECTS],
    )


async def _end(entry: AuditEntry, outcome: str, payload: Any) -> None:
    made = [item for item in _made(payload) if item not in entry.subject_ids]
    opened = getattr(getattr(payload, "namespace", None), "id", None)
    of_none = entry.namespace_id == OPERATOR
    try:
        await end_entry(
            entry.id,
            outcome=outcome,
            subject_ids=[*entry.subject_ids, *made][:_MAX_SUBJECTS],
            namespace_id=opened if of_none and opened else entry.namespace_id,
        )
    except PyMongoError as error:
        logger.warning("Audit entry %s has no outcome: %s", entry.id, type(error).__name__)


def _outcome(payload: Any) -> str:
    errors = getattr(payload, "user_errors", None)
    return str(errors[0].code) if errors else _DONE


def _ids(value: Any) -> Iterator[str]:
    """Yield the ids that an input names."""
    if isinstance(value, dict):
        for name, child in value.items():
            if isinstance(child, str) and (name == "id" or name.endswith("Id")):
                yield child
            elif name.endswith("Ids") and isinstance(child, list):
                yield from (one for one in child if isinstance(one, str))
            else:
                yield from _ids(child)


def _made(payload: Any) -> Iterator[str]:
    """Yield the ids of what a payload shows."""
    for name, value in vars(payload).items() if hasattr(payload, "__dict__") else ():
        if isinstance(found := getattr(value, "id", None), str):
            yield found
        elif name.startswith("deleted") and isinstance(value, str):
            yield value
