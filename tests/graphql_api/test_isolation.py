"""Beside the fields: channels, prefixes, and secrets that must be nowhere (S40, S46, S48)."""

import asyncio
import json
from pathlib import Path

import pytest

from models.artifacts import output_key
from models.database import MODELS
from models.ids import new_id
from models.stores import Stores
from tests.factories import make_batch, make_bucket, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call
from workers.namespaces import open_namespace

FOLLOW = """subscription { batchesChanged { __typename changes { kind batchId } } }"""
DRAFT = """mutation($id: ID!) { createBatch(input: {bucketId: $id}) { batch { id } } }"""
CREATE = """mutation($name: String!) { createApiKey(input: {name: $name, scopes: [READ]}) {
  secret apiKey { id } } }"""


async def test_s48_crafted_doorbells_show_nobody_anything_foreign(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """A doorbell only says "look": what is shown is read from MongoDB, in one's own namespace."""
    foreign, _ = await open_namespace(stores, new_id("ns"))
    batch, bucket = make_batch(foreign.id), make_bucket(namespace.id)
    await store(batch, bucket)
    channel = stores.bus.events_channel(namespace.id)
    crafted = [f"{batch.id} 1", batch.id, "", "x" * 100_000, json.dumps({"$where": "1"}), "\x00 9"]

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW)
        first = await socket.next()
        for message in crafted:
            await stores.bus.redis.publish(channel, message)
        made = await call(api.caller(namespace.api_key), DRAFT, id=bucket.id)
        frame = await socket.next()

    assert first["changes"] == []
    assert [change["batchId"] for change in frame["changes"]] == [made["batch"]["id"]]


async def test_s48_a_crafted_task_in_redis_opens_no_other_namespace(
    stores: Stores, caller: GraphQL
) -> None:
    """It may name any id and namespace: the caller's own decides."""
    task_id = new_id("tsk")
    crafted = {"_id": task_id, "namespace_id": new_id("ns"), "type": "BATCH_SUBMIT"}
    for body in (json.dumps({**crafted, "status": "COMPLETED"}), "[" * 10_000, "null"):
        await stores.bus.redis.set(f"{stores.settings.redis.prefix}:task:{task_id}", body)
        answer = await caller.answer("query($id: ID!) { task(id: $id) { id } }", id=task_id)
        assert answer["data"] == {"task": None}
        assert "errors" not in answer


async def test_the_prefix_of_a_namespace_is_no_other_ones(stores: Stores, tmp_path: Path) -> None:
    """Not even when one id begins with the other."""
    short = new_id("ns")
    longer = f"{short}0"
    file = tmp_path / "part"
    file.write_bytes(b"x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    for owner in (short, longer):
        key = output_key(owner, new_id("btc"), new_id("sub"), block_id=new_id("blk"), epoch=1)
        await stores.artifacts.create(key, file, sha256=digest)

    for owner in (short, longer):
        keys = await stores.artifacts.list_keys(owner, limit=10)
        assert [key.split("/")[0] for key in keys] == [owner]


async def test_s46_the_secret_of_a_key_is_nowhere(
    api: RunningApi, stores: Stores, caller: GraphQL, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log at its finest, nor in MongoDB, nor in Redis, nor in an error."""
    with caplog.at_level("DEBUG"):
        secret = (await call(caller, CREATE, name="canary"))["secret"]
        canary = secret.rpartition("_")[2][:43]
        used = api.caller(secret)
        answers = [
            await used.answer("{ namespace { id } }"),
            await used.answer(f'{{ bucket(id: "{secret}") {{ nonsense }} }}'),
            await used.answer("query($id: Int!) { node(id: $id) { id } }", id=secret),
            await used.answer("query($first: Int) { buckets(first: $first) { totalCount } }",
                              first=secret),
            (await api.post({"query": "{ namespace { id } }"}, secret + "x")).json(),
            (await api.post({"query": f"{{ {canary}"}, secret)).json(),
        ]  # fmt: skip

    shown = json.dumps(answers)
    assert canary not in shown
    assert canary not in caplog.text
    assert "UNAUTHENTICATED" in shown
    for model in MODELS:
        async for row in model.get_pymongo_collection().find({}):
            assert canary not in str(row), model.__name__
    async for key in stores.bus.redis.scan_iter(count=1000):
        assert canary not in key
        kind = await stores.bus.redis.type(key)
        if kind == "string":
            assert canary not in str(await stores.bus.redis.get(key))
        elif kind == "hash":
            assert canary not in str(await stores.bus.redis.hgetall(key))


async def test_s46_what_a_client_sends_is_not_echoed_or_logged(
    caller: GraphQL, namespace: NamespaceOfTest, caplog: pytest.LogCaptureFixture
) -> None:
    """A presigned address carries its right to read in the query string."""
    canary = "X-Amz-Signature=canary0123456789"
    address = f"https://user:canary0123456789@bucket.example/key?{canary}"
    register = """mutation($id: ID!, $url: String!) { createObjects(input: {bucketId: $id,
      objects: [{blobs: [{property: "file", url: $url}]}]}) {
        results { errors { code } } userErrors { code } } }"""
    with caplog.at_level("DEBUG"):
        answers = await asyncio.gather(
            caller.answer(register, id=new_id("bkt"), url=address),
            caller.answer(register, id=new_id("bkt"), url={"nested": address}),
            caller.answer(register, id=[address], url=1),
        )

    assert "canary0123456789" not in json.dumps(answers)
    assert "canary0123456789" not in caplog.text
