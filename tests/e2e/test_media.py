"""One batch of every kind of content through three tiers of the whole stack."""

from collections import Counter
from typing import Any

import pytest

from models.settings import Settings
from tests.e2e.flows import await_end, open_api, operation, read_documents
from tests.e2e.test_bad_input import put_source
from tests.fixtures.stack import GraphQL, Stack
from tests.fixtures.stores import NamespaceOfTest
from tests.media import film, pdf, picture, sound

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
KINDS = {"note": "TEXT", "paper": "BLOB", "picture": "BLOB", "sound": "BLOB", "film": "BLOB"}
# name: what it reads, extractor, input and the path that fills it, documents that it makes
COLLECTIONS: dict[str, tuple[str, str, str, str, int]] = {
    "notes": ("", "text", "text", "note", 1),
    "papers": ("", "document", "document", "paper", 2),
    "pictures": ("", "image", "image", "picture", 1),
    "sounds": ("", "audio", "audio", "sound", 1),
    "films": ("", "video", "video", "film", 2),
    "paper_texts": ("papers", "text", "text", "text", 2),
    "paper_pages": ("papers", "image", "image", "picture", 2),
    "film_frames": ("films", "image", "image", "frame", 2),
    "film_sounds": ("films", "audio", "audio", "audio", 2),
    "index": ("paper_texts", "passthrough", "content", "text", 2),
}


async def make_collections(api: GraphQL, bucket_id: str) -> dict[str, str]:
    ids: dict[str, str] = {}
    for name, (reads, extractor, into, path, _) in COLLECTIONS.items():
        here = {"field": {"path": path, "operator": "EXISTS", "value": True}}
        source: dict[str, Any] = (
            {"collectionIds": [ids[reads]]} if reads else {"bucketId": bucket_id}
        )
        if not reads:
            source["filter"] = here
        parameters = {"picture": 300} if extractor == "document" else {}
        made = await api.data(
            operation("createCollection"),
            input={
                "name": name,
                "source": source,
                "extractor": {"name": extractor, "parameters": parameters},
                "inputMappings": [{"input": into, "path": path}],
            },
        )
        assert made["createCollection"]["userErrors"] == [], name
        ids[name] = made["createCollection"]["collection"]["id"]
    return ids


async def test_content_of_every_kind_goes_through_three_tiers(
    stack: Stack, namespace: NamespaceOfTest, settings: Settings
) -> None:
    files = {
        "paper": pdf("All about cats.", "All about the sea."),
        "picture": picture(),
        "sound": sound(1),
        "film": film((200, 0, 0), (0, 0, 200)),
    }
    blobs: dict[str, dict[str, Any]] = {"note": {"property": "note", "text": "A note on dogs."}}
    for kind, body in files.items():
        url = await put_source(settings, f"media/{kind}", body)
        blobs[kind] = {"property": kind, "url": url, "sizeBytes": len(body)}
    async with open_api(stack, namespace) as api:
        fields = [{"name": kind, "type": of} for kind, of in KINDS.items()]
        created = await api.data(operation("createBucket"), name="mixed", fields=fields)
        bucket_id = created["createBucket"]["bucket"]["id"]
        ids = await make_collections(api, bucket_id)
        rows = [{"key": kind, "blobs": [blob]} for kind, blob in blobs.items()]
        made = await api.data(operation("createObjects"), bucketId=bucket_id, objects=rows)
        objects = {
            row["object"]["key"]: row["object"]["id"] for row in made["createObjects"]["results"]
        }
        drafted = await api.data(
            operation("createBatch"), bucketId=bucket_id, objectIds=[*objects.values()]
        )
        batch_id = drafted["createBatch"]["batch"]["id"]

        await api.data(operation("submitBatch"), batchId=batch_id, includeProcessingHistory=True)
        batch = await await_end(api, batch_id)

        assert batch["status"] == "COMPLETED", batch
        found = {name: await read_documents(api, ids[name]) for name in COLLECTIONS}
        assert {name: len(nodes) for name, nodes in found.items()} == {
            name: count for name, (*_, count) in COLLECTIONS.items()
        }
        counts = batch["counts"]
        assert counts["documentsWritten"] == sum(count for *_, count in COLLECTIONS.values())
        # Five collections over five objects, one of which each takes; then a row a document.
        assert (counts["rowsFiltered"], counts["rowsFailed"], counts["rowsMissingInput"]) == (
            20,
            0,
            0,
        )
        assert counts["rowsIn"] == 25 + 4 * 2 + 2
        assert [len(tier["collections"]) for tier in batch["tiers"]] == [5, 4, 1]
        of_objects = Counter(node["objectId"] for nodes in found.values() for node in nodes)
        assert of_objects == {
            objects["note"]: 1,
            objects["paper"]: 8,
            objects["picture"]: 1,
            objects["sound"]: 1,
            objects["film"]: 6,
        }
        await require_made(api, found)


async def require_made(api: GraphQL, found: dict[str, list[dict[str, Any]]]) -> None:
    """Check that what each tier made is what the next one read."""
    steps = [
        step["extractor"] for step in found["index"][0]["internalMetadata"]["processingHistory"]
    ]
    assert steps == ["document@v1", "text@v1", "passthrough@v1"]
    contents = sorted(node["fields"]["content"] for node in found["index"])
    assert contents == ["All about cats.", "All about the sea."]
    assert {node["fields"]["height"] for node in found["paper_pages"]} == {225}
    assert {node["fields"]["width"] for node in found["film_frames"]} == {96}
    assert [node["fields"]["codec"] for node in found["film_sounds"]] == ["flac", "flac"]
    lineage = await api.data(operation("lineage"), id=found["film_frames"][0]["id"])
    assert lineage["document"]["object"]["key"] == "film"
    assert [one["collection"]["name"] for one in lineage["document"]["upstream"]] == ["films"]
