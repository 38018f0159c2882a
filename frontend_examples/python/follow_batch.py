"""Submit texts to Strata and follow the batch to its end, over any number of cut connections.

    python follow_batch.py --key KEY texts/ more.jsonl

A file is one text, but a .jsonl file has one a line: a JSON string, or an object with "text",
perhaps "key", and anything else as metadata. A folder stands for its .txt, .md and .jsonl files.
Runs on Python 3.11 with gql[httpx,websockets]. The operations are in ../operations.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

OPERATIONS: Final = Path(__file__).resolve().parents[1] / "operations"
PROPERTY: Final = "content"  # the blob property that holds a text
SUFFIXES: Final = (".txt", ".md", ".jsonl")  # what is read of a folder
OBJECTS_A_CALL: Final = 500  # the server takes 1,000 objects and 4 MiB
BYTES_A_CALL: Final = 2 * 1024 * 1024
FAILURES_IN_A_ROW: Final = 10
# Closes that say "you are wrong", not "try again": malformed, no or refused key, protocol broken.
FATAL_CLOSES: Final = frozenset({4400, 4401, 4403, 4406, 4409, 4429, 4500})


class Frame(TypedDict):
    """One message of batchEvents, as ../operations/batchEvents.graphql selects it."""

    __typename: str
    cursor: str
    fromSequence: int
    sequence: int
    batch: dict[str, Any]  # absent in a BatchDiscontinuity, which a BatchSnapshot follows


class Refused(Exception):
    """The server understood, and said no."""


@dataclass(frozen=True)
class Strata:
    """The few calls of the API that this client makes."""

    endpoint: str
    credentials: dict[str, str]  # HTTP headers, and the websocket's connection_init payload

    async def ask(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Run a query or mutation; return its one field, without user errors."""
        transport = HTTPXAsyncTransport(self.endpoint, headers=self.credentials, timeout=120)
        async with Client(transport=transport, execute_timeout=None) as session:
            data = await session.execute(read_operation(operation, variables))
        answer: dict[str, Any] = next(iter(data.values()))
        for error in answer.get("userErrors", ()):
            raise Refused(f"{error['message']} {error['hint']}".strip())
        return answer

    async def follow(self, batch_id: str) -> AsyncIterator[Frame]:
        """Yield frames that join, over any number of connections, until the batch has ended."""
        cursor: str | None = None
        failures = 0
        while True:
            try:
                async for frame in self._frames(batch_id, cursor):
                    cursor, failures = frame["cursor"], 0
                    yield frame
                return
            except (TransportError, TimeoutError) as error:
                failures += 1
                if is_final(error) or failures > FAILURES_IN_A_ROW:
                    raise
                delay = min(0.25 * 2**failures, 8.0) * random.uniform(0.5, 1)
                print(f"Connection lost, again in {delay:.1f} s", file=sys.stderr, flush=True)
                await asyncio.sleep(delay)

    async def _frames(self, batch_id: str, cursor: str | None) -> AsyncIterator[Frame]:
        transport = WebsocketsTransport(
            self.endpoint.replace("http", "ws", 1),
            init_payload=self.credentials,
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )
        request = read_operation("batchEvents", {"batchId": batch_id, "after": cursor})
        async with Client(transport=transport) as session:
            async for data in session.subscribe(request):
                yield data["batchEvents"]


def read_operation(name: str, variables: dict[str, Any]) -> GraphQLRequest:
    text = (OPERATIONS / f"{name}.graphql").read_text()
    return GraphQLRequest(text, variable_values=variables)


def is_final(error: BaseException) -> bool:
    """Tell whether trying again cannot help."""
    if isinstance(error, TransportQueryError):
        codes = {found.get("extensions", {}).get("code") for found in error.errors or ()}
        return codes != {"INTERNAL_SERVER_ERROR"}
    cause: BaseException | None = error  # the close frame is behind the library's own errors
    while cause is not None and not isinstance(cause, ConnectionClosed):
        cause = cause.__cause__
    return cause is not None and cause.rcvd is not None and cause.rcvd.code in FATAL_CLOSES


def read_objects(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        if path.is_dir():
            inside = (found for found in path.rglob("*") if found.suffix in SUFFIXES)
            yield from read_objects(sorted(inside))
            continue
        text = path.read_text("utf-8")
        lines = [json.dumps(text)] if path.suffix != ".jsonl" else text.split("\n")
        for value in (json.loads(line) for line in lines if line.strip()):
            row = {"text": value} if isinstance(value, str) else value
            blob = {"property": PROPERTY, "text": row.pop("text")}
            key = row.pop("key", None)
            yield {"key": key, "metadata": {"source": path.name, **row}, "blobs": [blob]}


def group(objects: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Put neighbours together, as many as one call may carry."""
    together: list[dict[str, Any]] = []
    size = 0
    for found in objects:
        size += (weight := len(json.dumps(found)))
        if together and (len(together) == OBJECTS_A_CALL or size > BYTES_A_CALL):
            yield together
            together, size = [], weight
        together.append(found)
    yield together


async def create_bucket(strata: Strata, name: str) -> str:
    """Create a bucket of texts, and a collection that embeds each of them."""
    fields = [{"name": PROPERTY, "type": "TEXT"}, {"name": "source", "type": "STRING"}]
    bucket_id: str = (await strata.ask("createBucket", name=name, fields=fields))["bucket"]["id"]
    collection = {
        "name": name,
        "source": {"bucketId": bucket_id},
        "extractor": {"name": "text"},
        "inputMappings": [{"input": "text", "path": PROPERTY}],
        "passthrough": [{"path": "source", "target": "source"}],
    }
    await strata.ask("createCollection", input=collection)
    return bucket_id


async def submit(strata: Strata, bucket_id: str, objects: Iterable[dict[str, Any]]) -> str:
    batch_id: str = (await strata.ask("createBatch", bucketId=bucket_id))["batch"]["id"]
    for together in group(objects):
        answer = await strata.ask("createObjects", bucketId=bucket_id, objects=together)
        for row in answer["results"]:
            for error in row["errors"]:
                print(f"Refused: {error['message']} {error['hint']}", file=sys.stderr)
        ids = [row["object"]["id"] for row in answer["results"] if row["object"]]
        await strata.ask("addObjectsToBatch", batchId=batch_id, objectIds=ids)
    await strata.ask("submitBatch", batchId=batch_id)
    return batch_id


def print_frame(frame: Frame) -> None:
    """Print the events that a frame covers, and where the batch is after them."""
    covered = f"{frame['fromSequence']}-{frame['sequence']}"
    if "batch" not in frame:
        print(f"{covered:>9}  missed; the present state follows", flush=True)
        return
    status, progress = frame["batch"]["status"], frame["batch"]["progress"]
    done = (
        f"{progress['percent']:4.0f} %  {progress['rowsDone']:,} of {progress['rowsTotal']:,} rows"
    )
    print(f"{covered:>9}  {status:<22}{done}", flush=True)


async def run(strata: Strata, bucket_id: str | None, files: list[Path]) -> str:
    """Submit and follow; return the status in which the batch ended."""
    bucket_id = bucket_id or await create_bucket(strata, f"texts-{time.time_ns()}")
    batch_id = await submit(strata, bucket_id, read_objects(files))
    print(f"Following {batch_id}", flush=True)
    status = ""
    async for frame in strata.follow(batch_id):
        print_frame(frame)
        status = frame.get("batch", {}).get("status", status)
    for edge in (await strata.ask("rowErrors", batchId=batch_id))["rowErrors"]["edges"]:
        print(f"Failed: {edge['node']['message']} {edge['node']['hint']}", file=sys.stderr)
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit texts to Strata and follow the batch.")
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000/graphql")
    parser.add_argument("--key", default=os.environ.get("STRATA_KEY"), help="or STRATA_KEY")
    parser.add_argument("--bucket", help=f"one with a text field {PROPERTY!r}; else a new one")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    strata = Strata(options.endpoint, {"authorization": f"Bearer {options.key}"})
    try:
        status = asyncio.run(run(strata, options.bucket, options.files))
    except (Refused, TransportError, OSError, ValueError) as error:
        print(f"Failed: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0 if status == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
