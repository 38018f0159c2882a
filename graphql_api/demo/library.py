"""What the demo sets up: a namespace, a bucket of docstrings, two collections, one on the other."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql_api.demo.client import ApiClient
from graphql_api.demo.corpus import Docstring, collect_docstrings, merge_same_summaries
from graphql_api.demo.errors import Refused

NAME: Final = "demo"
NAMES_TRIED: Final = 1000
FIELDS: Final = (
    {"name": "module", "type": "STRING", "required": True},
    {"name": "name", "type": "STRING", "required": True},
    {"name": "kind", "type": "STRING", "required": True},
    {"name": "signature", "type": "STRING"},
    {"name": "line", "type": "INTEGER"},
    {"name": "summary", "type": "STRING", "required": True},
    {"name": "also", "type": "ARRAY"},
    {"name": "content", "type": "TEXT", "required": True},
)
KEPT: Final = [{"path": name} for name in ("module", "name", "kind", "signature")]
FULL_TEXT: Final = {"path": "content", "target": "docstring"}
CALL_OBJECTS: Final = 500
CALL_BYTES: Final = 2 * 1024 * 1024  # of a body that may have 4 MiB
CALLS_IN_FLIGHT: Final = 3
MEMBERS_A_CALL: Final = 1000

Objects = list[dict[str, Any]]


@dataclass(frozen=True)
class Namespace:
    """A namespace of the demo's own."""

    id: str
    api_key: str


async def open_namespace(admin: ApiClient) -> Namespace:
    """Create `demo`, or `demo-2` and so on beside earlier ones."""
    for number in range(1, NAMES_TRIED):
        try:
            return Namespace(
                *await admin.create_namespace(NAME if number == 1 else f"{NAME}-{number}")
            )
        except Refused as refused:
            if refused.code != "NAME_TAKEN":
                raise
    raise Refused(f"There are {NAMES_TRIED} demos already.")


async def register_docstrings(client: ApiClient, bucket_id: str) -> list[str]:
    """Read the corpus and register it, a few calls at a time; return the ids of the objects."""
    calls: list[asyncio.Task[list[str]]] = []
    try:
        async with asyncio.TaskGroup() as group:
            await _send(client, bucket_id, group, calls)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [object_id for call in calls for object_id in call.result()]


async def create_collections(client: ApiClient, bucket_id: str) -> str:
    """Create the searchable collection and a catalogue that reads it; return the first one's id."""
    docstrings = await client.create_collection(
        {
            "name": "docstrings",
            "description": "The standard library's docstrings, found by their first sentence.",
            "source": {"bucketId": bucket_id},
            "extractor": {"name": "text", "version": "v1", "parameters": {"split_by": "none"}},
            "inputMappings": [{"input": "text", "path": "summary"}],
            "passthrough": [*KEPT, {"path": "also"}, FULL_TEXT],
        }
    )
    await client.create_collection(
        {
            "name": "catalogue",
            "description": "What there is, without the texts; made from `docstrings`.",
            "source": {"collectionIds": [docstrings]},
            "extractor": {"name": "passthrough", "version": "v1"},
            "passthrough": KEPT,
        }
    )
    return docstrings


async def fill_batch(client: ApiClient, bucket_id: str, object_ids: Sequence[str]) -> str:
    """Create a batch of all objects; return its id."""
    batch_id = await client.create_batch(bucket_id, "standard library")
    for start in range(0, len(object_ids), MEMBERS_A_CALL):
        await client.add_objects(batch_id, object_ids[start : start + MEMBERS_A_CALL])
    return batch_id


def in_calls(docstrings: Iterable[Docstring]) -> Iterator[Objects]:
    """Cut the corpus into calls that the API takes."""
    chunk: Objects = []
    size = 0
    for docstring in docstrings:
        one = docstring.as_object()
        length = len(json.dumps(one))
        if chunk and (len(chunk) == CALL_OBJECTS or size + length > CALL_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += length
    if chunk:
        yield chunk


async def _send(
    client: ApiClient,
    bucket_id: str,
    group: asyncio.TaskGroup,
    calls: list[asyncio.Task[list[str]]],
) -> None:
    free = asyncio.Semaphore(CALLS_IN_FLIGHT)
    # Reading is work for the processor: on a thread, so that the terminal stays alive.
    docstrings = await asyncio.to_thread(lambda: merge_same_summaries(collect_docstrings()))
    for chunk in in_calls(docstrings):
        await free.acquire()
        calls.append(group.create_task(_register(client, bucket_id, chunk, free)))


async def _register(
    client: ApiClient, bucket_id: str, objects: Objects, free: asyncio.Semaphore
) -> list[str]:
    try:
        return await client.create_objects(bucket_id, objects)
    finally:
        free.release()
