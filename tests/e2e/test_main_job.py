"""The main job over the whole stack: objects in, a batch run, documents found."""

import pytest

from tests.e2e.flows import await_end, draft_texts, open_api, operation, read_documents
from tests.fixtures.stack import Stack
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
SUBJECTS = ["cats", "dogs", "the sea", "snakes"]


async def test_a_batch_becomes_searchable_documents_in_two_tiers(
    stack: Stack, namespace: NamespaceOfTest
) -> None:
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, [f"All about {SUBJECTS[n % 4]}" for n in range(50)])
        second = await api.data(
            operation("createCollection"),
            input={
                "name": "listed",
                "source": {"collectionIds": [draft.collection_id]},
                "extractor": {"name": "passthrough"},
                "passthrough": [{"path": "number"}, {"path": "text"}],
            },
        )
        second_id = second["createCollection"]["collection"]["id"]

        await api.data(
            operation("submitBatch"), batchId=draft.batch_id, includeProcessingHistory=True
        )
        batch = await await_end(api, draft.batch_id)

        assert batch["status"] == "COMPLETED", batch
        assert batch["counts"]["documentsWritten"] == 100
        assert batch["counts"]["rowsIn"] == batch["counts"]["rowsSucceeded"] == 100
        assert [step["status"] for step in batch["transitions"]] == [
            "DRAFT", "QUEUED", "PROCESSING", "COMPLETED",
        ]  # fmt: skip
        found = await api.data(
            operation("searchDocuments"),
            collectionId=draft.collection_id, query={"text": "kittens"}, first=5,
        )  # fmt: skip
        texts = {hit["document"]["fields"]["text"] for hit in found["searchDocuments"]["hits"]}
        assert texts == {"All about cats"}
        nodes = await read_documents(api, second_id)
        assert sorted(node["fields"]["number"] for node in nodes) == list(range(50))
        history = nodes[0]["internalMetadata"]["processingHistory"]
        assert [step["extractor"] for step in history] == ["text@v1", "passthrough@v1"]
