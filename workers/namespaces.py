"""Namespaces: opened with a first key, and changed."""

import math

from pymongo.errors import DuplicateKeyError

from models.api_key import ApiKey, issue_key
from models.database import Session
from models.errors import InvalidInput, NameTaken, NotFound
from models.idempotency import Claim
from models.ids import new_id
from models.namespace import Namespace
from models.scope import Scope
from models.stores import Stores
from workers.names import require_name, require_text


async def open_namespace(
    stores: Stores, name: str, *, description: str = "", claim: Claim | None = None
) -> tuple[Namespace, str]:
    """Create a namespace; return it and the only readable form of its first key.

    Raises:
        InvalidInput: the name is empty or too long.
        NameTaken: another namespace has it.
    """
    require_name(name)
    require_text(description, path=("description",))
    namespace = Namespace(id=new_id("ns"), name=name, description=description)
    key, secret = issue_key(namespace.id, name="first")

    async def work(session: Session) -> None:
        await Namespace.get_pymongo_collection().insert_one(namespace.to_mongo(), session=session)
        await ApiKey.get_pymongo_collection().insert_one(key.to_mongo(), session=session)
        await (claim or Claim()).settle(session, namespace_id=namespace.id)

    try:
        await stores.database.transaction(work)
    except DuplicateKeyError as error:
        raise NameTaken(f"A namespace {name!r} exists.", path=("name",)) from error
    return namespace, secret


async def update_namespace(
    scope: Scope,
    *,
    name: str | None,
    description: str | None,
    event_days: int | None = None,
    longest_days: float = math.inf,
    claim: Claim | None = None,
) -> Namespace:
    """Change a namespace's name, description or the days of its log; None keeps it.

    Raises:
        NotFound: no such namespace.
        InvalidInput: the name is empty or too long, or there are too few or too many days.
        NameTaken: another namespace has it.
    """
    values: dict[str, str | int] = {}
    if name is not None:
        require_name(name)
        values["name"] = name
    if description is not None:
        require_text(description, path=("description",))
        values["description"] = description
    if event_days is not None:
        _require_days(event_days, longest_days)
        values["event_days"] = event_days
    await require_namespace(scope.namespace_id)

    async def change(session: Session) -> None:
        if values:
            await Namespace.get_pymongo_collection().update_one(
                {"_id": scope.namespace_id}, {"$set": values}, session=session
            )

    try:
        await (claim or Claim()).commit(change, namespace_id=scope.namespace_id)
    except DuplicateKeyError as error:
        raise NameTaken(f"A namespace {name!r} exists.", path=("name",)) from error
    return await require_namespace(scope.namespace_id)


def _require_days(days: int, longest: float) -> None:
    if not 1 <= days <= longest:
        raise InvalidInput(
            f"The log cannot be kept for {days} days.",
            path=("eventDays",),
            hint=f"Give a number from 1 to {math.floor(longest)}, the operator's limit.",
        )


async def require_namespace(namespace_id: str) -> Namespace:
    """Return a namespace; raises NotFound."""
    found = await Namespace.get(namespace_id)
    if found is None:
        raise NotFound(f"No namespace {namespace_id!r} here.", path=("namespaceId",))
    return found


async def recall_namespace(namespace_id: str) -> tuple[Namespace, None]:
    """Return what `open_namespace` made, without its key, which nobody keeps; raises NotFound."""
    return await require_namespace(namespace_id), None
