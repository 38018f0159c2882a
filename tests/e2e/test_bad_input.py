"""Bad input over the whole stack: a batch never hangs, and each row that fails says why."""

from typing import Any

import pytest
from aiobotocore.session import get_session

from models.settings import Settings
from tests.e2e.flows import await_end, draft_texts, open_api, operation, read_documents
from tests.fixtures.stack import GraphQL, Stack
from tests.fixtures.stores import SOURCE_BUCKET, NamespaceOfTest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
MIB = 1024 * 1024
OUTCOMES = ("rowsFiltered", "rowsMissingInput", "rowsFailed", "rowsSkipped", "rowsSucceeded")
SEVEN = [f"Good text number {n} of seven." for n in range(7)]


async def put_source(settings: Settings, key: str, body: bytes) -> str:
    """Store an object in the S3 bucket of inputs; return its address."""
    assert settings.s3.secret_key is not None
    async with get_session().create_client(
        "s3",
        endpoint_url=settings.s3.endpoint_url,
        region_name=settings.s3.region,
        aws_access_key_id=settings.s3.access_key,
        aws_secret_access_key=settings.s3.secret_key.get_secret_value(),
    ) as client:
        found = await client.list_buckets()
        if SOURCE_BUCKET not in {one["Name"] for one in found["Buckets"]}:
            await client.create_bucket(Bucket=SOURCE_BUCKET)
        await client.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=body)
    return f"s3://{SOURCE_BUCKET}/{key}"


async def add_rows(api: GraphQL, batch_id: str, rows: list[dict[str, Any]]) -> list[str]:
    """Register objects in a draft's bucket and add them to it; return their ids."""
    found = await api.data("query($id: ID!) { batch(id: $id) { bucketId } }", id=batch_id)
    bucket_id = found["batch"]["bucketId"]
    made = await api.data(operation("createObjects"), bucketId=bucket_id, objects=rows)
    assert made["createObjects"]["failedCount"] == 0, made
    ids = [row["object"]["id"] for row in made["createObjects"]["results"]]
    await api.data(operation("addObjectsToBatch"), batchId=batch_id, objectIds=ids)
    return ids


async def read_errors(api: GraphQL, batch_id: str) -> dict[str, dict[str, Any]]:
    """Return the batch's row errors by object."""
    data = await api.data(operation("rowErrors"), batchId=batch_id, first=100)
    nodes = [edge["node"] for edge in data["batch"]["rowErrors"]["edges"]]
    assert all(node["message"] and node["extractor"] == "text@v1" for node in nodes)
    return {node["objectId"]: node for node in nodes}


def text_of(text: str) -> dict[str, Any]:
    return {"blobs": [{"property": "content", "text": text}]}


def at(url: str) -> dict[str, Any]:
    return {"blobs": [{"property": "content", "url": url}]}


async def test_bad_rows_fail_alone_and_say_why(
    stack: Stack, settings: Settings, namespace: NamespaceOfTest
) -> None:
    """Seven good texts among everything that can be wrong with one."""
    sentence = b"The sea rises and falls with the moon. "
    broken = await put_source(settings, f"{namespace.id}/broken", b"\xff\xfe no text")
    long = await put_source(
        settings, f"{namespace.id}/long", sentence * (10 * MIB // len(sentence))
    )
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, SEVEN)
        names = ["empty", "blank", "absent", "nowhere", "broken", "nul", "long"]
        rows = [
            text_of(""), text_of(" \n "), {"metadata": {"number": 1}},
            at(f"s3://{SOURCE_BUCKET}/{namespace.id}/nowhere"), at(broken),
            text_of("before\x00after"), at(long),
        ]  # fmt: skip
        ids = dict(zip(names, await add_rows(api, draft.batch_id, rows), strict=True))

        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        batch = await await_end(api, draft.batch_id)
        errors = await read_errors(api, draft.batch_id)
        documents = await read_documents(api, draft.collection_id)

    counts = batch["counts"]
    assert batch["status"] == "COMPLETED_WITH_ERRORS", batch
    assert batch["errorMessage"]
    assert counts["rowsIn"] == 14
    assert sum(counts[name] for name in OUTCOMES) == 14
    made_from = {document["objectId"] for document in documents}
    assert set(draft.object_ids) | {ids["nul"]} <= made_from
    for name in ("empty", "blank", "absent", "nowhere", "broken"):
        assert ids[name] not in made_from
        assert ids[name] in errors, name
        assert errors[ids[name]]["hint"], name
    assert (ids["long"] in made_from) != (ids["long"] in errors)
    assert len(documents) == counts["documentsWritten"] == counts["rowsSucceeded"]


async def test_a_batch_whose_rows_all_lack_their_input_fails_and_says_so(
    stack: Stack, namespace: NamespaceOfTest
) -> None:
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, [])
        await add_rows(api, draft.batch_id, [{"metadata": {"number": n}} for n in range(3)])

        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        batch = await await_end(api, draft.batch_id)
        errors = await read_errors(api, draft.batch_id)

    assert batch["status"] == "FAILED"
    assert "no document was written" in batch["errorMessage"]
    assert batch["counts"]["rowsMissingInput"] == 3 == len(errors)


async def test_what_a_canceled_batch_wrote_stays_and_is_found(
    stack: Stack, namespace: NamespaceOfTest
) -> None:
    """Canceled, then deleted: committed documents are read and searched all the same."""
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, [f"Story number {n} of whales." for n in range(300)])
        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        while True:
            data = await api.data(operation("batch"), id=draft.batch_id)
            if data["batch"]["counts"]["documentsWritten"] or data["batch"]["finishedAt"]:
                break
        canceled = await api.data(operation("cancelBatch"), batchId=draft.batch_id)
        batch = await await_end(api, draft.batch_id)
        deleted = await api.data(operation("deleteBatch"), batchId=draft.batch_id)
        documents = await read_documents(api, draft.collection_id)
        found = await api.data(
            operation("searchDocuments"), collectionId=draft.collection_id, query={"text": "whales"}
        )

    assert canceled["cancelBatch"]["userErrors"] == deleted["deleteBatch"]["userErrors"] == []
    assert batch["status"] in ("CANCELED", "COMPLETED")
    assert len(documents) == batch["counts"]["documentsWritten"] > 0
    assert len(found["searchDocuments"]["hits"]) == 10
