"""Changing a collection in what is safe, and making another like it."""

from typing import Any

from pymongo.errors import DuplicateKeyError

from models.collection import Collection
from models.errors import NameTaken
from models.idempotency import Claim
from models.scope import Scope
from models.settings import Settings
from workers.collections import CollectionDraft, open_collection
from workers.lifecycle import require_active
from workers.names import require_name, require_text


async def update_collection(
    scope: Scope, collection_id: str, *, name: str | None, description: str | None
) -> Collection:
    """Rename or describe a collection; what makes its documents never changes: clone it for that.

    Raises:
        NotFound, Conflict: no such collection, or it is being deleted.
        InvalidInput: a bad name or description.
        NameTaken: the namespace has a collection of that name.
    """
    collection = await scope.require(Collection, collection_id, path=("id",))
    require_active(collection, path=("id",))
    values: dict[str, str] = {}
    if name is not None:
        require_name(name)
        values["name"] = name
    if description is not None:
        require_text(description, path=("description",))
        values["description"] = description
    if values:
        try:
            await Collection.get_pymongo_collection().update_one(
                {"_id": collection.id}, {"$set": values}
            )
        except DuplicateKeyError as error:
            raise NameTaken(f"A collection {name!r} exists.", path=("name",)) from error
    return await scope.require(Collection, collection_id, path=("id",))


async def clone_collection(
    scope: Scope,
    collection_id: str,
    *,
    name: str,
    description: str | None = None,
    parameters: Any = None,
    settings: Settings | None = None,
    claim: Claim | None = None,
) -> Collection:
    """Create a collection like another, without its documents; parameters given replace its own.

    Raises:
        NotFound: no such collection, or its source is gone.
        Conflict: the source is being deleted.
        InvalidParameters, InvalidMapping, ExtractorUnavailable, NameTaken: as `open_collection`.
    """
    model = await scope.require(Collection, collection_id, path=("id",))
    replaced = parameters if isinstance(parameters, dict) else None
    draft = CollectionDraft(
        name=name,
        description=model.description if description is None else description,
        source=model.source,
        extractor=model.extractor.name,
        version=model.extractor.version,
        parameters=parameters
        if parameters is not None and replaced is None
        else {**model.extractor.parameters, **(replaced or {})},
        input_mappings=model.input_mappings,
        passthrough=model.passthrough,
    )
    return await open_collection(scope, draft, settings=settings, claim=claim)
