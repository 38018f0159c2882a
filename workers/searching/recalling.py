"""A search that was made before, as long as what it read is unchanged."""

from typing import Any, Final

from engine.queries import QueryEncoder
from models.collection import Collection
from models.document import Document
from models.scope import Scope
from models.stores import Stores
from workers.caches import Answers, Form, Recalled, read_document
from workers.searching.request import Found, FoundObject, SearchRequest
from workers.searching.search import require_page, search_targets
from workers.searching.targets import Target, find_targets

_KIND: Final = "search"
Result = list[Found] | list[FoundObject]


async def recall_search(
    answers: Answers, stores: Stores, encoder: QueryEncoder, request: SearchRequest
) -> Recalled[Result]:
    """Return the nearest documents, as `search_documents` does; embedded and ranked if need be.

    Raises:
        As `search_documents`.
    """
    scope = answers.scope
    require_page(request)
    targets = await find_targets(scope, request)

    async def search() -> Result:
        return await search_targets(scope, stores, encoder, request, targets)

    return await answers.recall(_form(scope), request, await _read(answers, targets), search)


async def _read(answers: Answers, targets: list[Target]) -> list[Collection] | None:
    """Return the collections whose state decides what is found, or None when one is missing.

    A document that is compared with counts by its vector, so its collection is one of them.
    """
    read = {target.collection.id: target.collection for target in targets}
    wanted = {one.question.document_id for one in targets} - {None}
    if answers.bypass or not wanted:
        return list(read.values())
    ids = [one for one in wanted if one is not None]
    documents = await answers.scope.find_many(Document, ids)
    if len(documents) < len(ids):
        return None
    homes = {one.collection_id for one in documents.values()} - read.keys()
    others = await answers.collections(sorted(homes)) if homes else []
    return None if others is None else [*read.values(), *others]


def _form(scope: Scope) -> Form[Result]:
    return Form(_KIND, _pack, lambda row: _unpack(scope, row))


def _pack(result: Result) -> dict[str, Any]:
    return {
        "hits": [_pack_hit(one) for one in result if isinstance(one, Found)],
        "objects": [
            {
                "object_id": one.object_id,
                "score": one.score,
                "hits": [_pack_hit(hit) for hit in one.found],
            }
            for one in result
            if isinstance(one, FoundObject)
        ],
    }


def _pack_hit(found: Found) -> dict[str, Any]:
    return {"score": found.score, "document": found.document.to_mongo()}


def _unpack(scope: Scope, row: dict[str, Any]) -> Result:
    if row["objects"]:
        return [
            FoundObject(one["object_id"], one["score"], _unpack_hits(scope, one["hits"]))
            for one in row["objects"]
        ]
    return _unpack_hits(scope, row["hits"])


def _unpack_hits(scope: Scope, rows: list[dict[str, Any]]) -> list[Found]:
    return [Found(one["score"], read_document(scope, one["document"])) for one in rows]
