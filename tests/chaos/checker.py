"""The independent checker: reads the raw stores, shares no code with the product.

Names of the invariants are those of the reliability document: I1 one end, I2 the documents of a
fault-free run, I3 no duplicates, I4 accounting, I5 the event log, I8 epochs, I9 quiescence, I10
attempts. Each check returns what is wrong in words; nothing wrong is an empty list.
"""

import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import boto3
import httpx
import pyarrow.parquet as pq
from botocore.config import Config
from pymongo import MongoClient

from tests.chaos.subscriber import Subscriber

TERMINAL: Final = {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"}
COSINE: Final = 0.9999
MAX_ATTEMPTS: Final = 3
Content = dict[tuple[str, str, int], tuple[str, list[float]]]
"""(tier, object's key, ordinal) -> (hash of the fields, vector)."""


@dataclass(frozen=True)
class RawStores:
    """Handles that know nothing of Strata but its addresses."""

    client: MongoClient[dict[str, Any]]
    mongo: Any
    s3: Any
    bucket: str
    qdrant: httpx.Client
    prefix: str

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.s3.close()
        self.qdrant.close()


def open_raw(endpoints: Mapping[str, str]) -> RawStores:
    """Connect with the drivers alone."""
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoints["STRATA_S3__ENDPOINT_URL"],
        aws_access_key_id=endpoints["STRATA_S3__ACCESS_KEY"],
        aws_secret_access_key=endpoints["STRATA_S3__SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    qdrant = httpx.Client(
        base_url=endpoints["STRATA_QDRANT__URL"],
        headers={"api-key": endpoints["STRATA_QDRANT__API_KEY"]},
        timeout=30,
        trust_env=False,
    )
    client: MongoClient[dict[str, Any]] = MongoClient(endpoints["STRATA_MONGO__URL"])
    return RawStores(client, client["strata"], s3, "strata", qdrant, "strata")


def read_content(raw: RawStores, batch_id: str) -> Content:
    """Return what a batch wrote, by names that are the same in every run."""
    content: Content = {}
    for collection_id, name in _collections(raw, batch_id).items():
        vectors = dict(_points(raw, collection_id))
        for row in raw.mongo.documents.find({"collection_id": collection_id}):
            key = (name, _key(raw, row["object_id"]), _place(raw, row))
            content[key] = (_digest(row["fields"]), vectors.get(row["_id"], []))
    return content


def check_batch(
    raw: RawStores, batch_id: str, subscriber: Subscriber, *, expected: Content
) -> list[str]:
    """Return every violation found."""
    batch = raw.mongo.batches.find_one({"_id": batch_id})
    return [
        *_one_end(raw, batch),
        *_same_documents(read_content(raw, batch_id), expected),
        *_no_duplicates(raw, batch_id),
        *_accounting(raw, batch),
        *_log(raw, batch),
        *_seen(subscriber, batch),
        *_blocks(raw, batch),
    ]


def _collections(raw: RawStores, batch_id: str) -> dict[str, str]:
    tiers = raw.mongo.batches.find_one({"_id": batch_id})["tiers"]
    return {one: f"tier {tier['number']}" for tier in tiers for one in tier["collection_ids"]}


def _key(raw: RawStores, object_id: str) -> str:
    found = raw.mongo.objects.find_one({"_id": object_id}, {"metadata": 1})
    return str(found["metadata"]["number"])


def _place(raw: RawStores, row: dict[str, Any]) -> int:
    """A number that is unique among the documents of an object: ordinals down from the root."""
    place = row["ordinal"]
    upstream = raw.mongo.documents.find_one({"_id": row["source_id"]}, {"ordinal": 1})
    return int(place if upstream is None else upstream["ordinal"] * 1000 + place)


def _digest(fields: dict[str, Any]) -> str:
    stable = {name: value for name, value in fields.items() if name != "document_id"}
    return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()


def _points(raw: RawStores, collection_id: str) -> Iterator[tuple[str, list[float]]]:
    after: str | None = None
    path = f"/collections/{raw.prefix}_{collection_id}/points/scroll"
    while True:
        body = {"limit": 1000, "with_vector": True, "offset": after}
        answer = raw.qdrant.post(path, json=body)
        if answer.status_code == 404:
            return
        result = answer.raise_for_status().json()["result"]
        for point in result["points"]:
            named = point["vector"] or {}
            yield point["id"], next(iter(named.values()), []) if isinstance(named, dict) else named
        after = result["next_page_offset"]
        if after is None:
            return


def _one_end(raw: RawStores, batch: dict[str, Any]) -> list[str]:
    ends = [
        row["status"]
        for row in raw.mongo.events.find({"batch_id": batch["_id"]}, sort=[("sequence", 1)])
        if row["type"].startswith("batch.") and row["status"] in TERMINAL
    ]
    wrong = [] if batch["status"] == "COMPLETED" else [f"I1 ended {batch['status']}: {batch}"]
    if ends != [batch["status"]]:
        wrong.append(f"I1 terminal events {ends}")
    return wrong


def _same_documents(found: Content, expected: Content) -> list[str]:
    wrong = []
    if lost := expected.keys() - found.keys():
        wrong.append(f"I2 {len(lost)} documents lost, such as {sorted(lost)[:3]}")
    if more := found.keys() - expected.keys():
        wrong.append(f"I2 {len(more)} documents too many, such as {sorted(more)[:3]}")
    for key in found.keys() & expected.keys():
        (digest, vector), (wanted, reference) = found[key], expected[key]
        if digest != wanted:
            wrong.append(f"I2 other fields in {key}")
        elif len(vector) != len(reference) or (vector and _cosine(vector, reference) < COSINE):
            wrong.append(f"I2 another vector in {key}")
    return wrong[:5]


def _cosine(one: list[float], other: list[float]) -> float:
    dot = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return dot / (math.hypot(*one) * math.hypot(*other))


def _no_duplicates(raw: RawStores, batch_id: str) -> list[str]:
    wrong = []
    for collection_id, name in _collections(raw, batch_id).items():
        rows = list(raw.mongo.documents.find({"collection_id": collection_id}))
        places = Counter((row["source_id"], row["ordinal"]) for row in rows)
        if doubled := [place for place, times in places.items() if times > 1]:
            wrong.append(f"I3 {name}: {len(doubled)} documents twice")
        points = {point for point, _ in _points(raw, collection_id)}
        has_vectors = raw.mongo.collections.find_one({"_id": collection_id})["vectors"]
        if has_vectors and points != {row["_id"] for row in rows}:
            wrong.append(f"I3 {name}: {len(points)} points and {len(rows)} documents differ")
    return wrong


def _accounting(raw: RawStores, batch: dict[str, Any]) -> list[str]:
    counts = batch["counts"]
    outcomes = ("filtered", "missing_input", "failed", "skipped", "succeeded")
    settled = sum(counts[f"rows_{name}"] for name in outcomes)
    documents = raw.mongo.documents.count_documents({"batch_id": batch["_id"]})
    wrong = []
    if settled != counts["rows_in"]:
        wrong.append(f"I4 {counts['rows_in']} rows in, {settled} accounted for")
    if documents != counts["documents_written"]:
        wrong.append(f"I4 {counts['documents_written']} documents counted, {documents} there")
    return wrong


def _log(raw: RawStores, batch: dict[str, Any]) -> list[str]:
    events = list(raw.mongo.events.find({"batch_id": batch["_id"]}, sort=[("sequence", 1)]))
    wrong = []
    if [row["sequence"] for row in events] != list(range(1, batch["sequence"] + 1)):
        wrong.append(f"I5 sequences {[row['sequence'] for row in events]} to {batch['sequence']}")
    written = [row["counts"].get("documents_written", 0) for row in events]
    if written != sorted(written):
        wrong.append("I5 progress fell")
    if events[-1]["status"] not in TERMINAL:
        wrong.append(f"I5 the last event is {events[-1]['type']}")
    return wrong


def _seen(subscriber: Subscriber, batch: dict[str, Any]) -> list[str]:
    wrong = []
    joined = all(
        after[0] == before[1] + 1
        for before, after in zip(subscriber.ranges, subscriber.ranges[1:], strict=False)
    )
    if not joined or subscriber.discontinuities:
        wrong.append(f"I5 a subscriber's ranges have holes or overlaps: {subscriber.ranges}")
    if not subscriber.ranges or subscriber.ranges[-1][1] != batch["sequence"]:
        wrong.append(f"I5 a subscriber missed the end: {subscriber.ranges[-1:]}")
    return wrong


def _blocks(raw: RawStores, batch: dict[str, Any]) -> list[str]:
    wrong = []
    match = {"batch_id": batch["_id"], "submission": batch["submission"]}
    for block in raw.mongo.blocks.find(match):
        if block["status"] != "DONE":
            wrong.append(f"I9 block {block['_id']} is {block['status']}")
            continue
        if block["attempts"] > MAX_ATTEMPTS:
            wrong.append(f"I10 block {block['_id']} has {block['attempts']} attempts")
        wrong += _output(raw, block)
    return wrong


def _output(raw: RawStores, block: dict[str, Any]) -> list[str]:
    """The committed artifact is there, is what was committed, and was made under this epoch."""
    pointer = block["output"]
    body = raw.s3.get_object(Bucket=raw.bucket, Key=pointer["key"])["Body"].read()
    wrong = []
    if hashlib.sha256(body).hexdigest() != pointer["sha256"]:
        wrong.append(f"I2 the artifact of block {block['_id']} is not what was committed")
    elif pq.read_metadata(io.BytesIO(body)).num_rows != pointer["rows"]:
        wrong.append(f"I4 the artifact of block {block['_id']} has other rows")
    if not pointer["key"].endswith(f"{block['_id']}-{block['epoch']}.parquet"):
        wrong.append(f"I8 block {block['_id']} of epoch {block['epoch']} has {pointer['key']}")
    newer = raw.mongo.documents.count_documents(
        {"block_id": block["_id"], "epoch": {"$ne": block["epoch"]}}
    )
    return [*wrong, *([f"I8 {newer} documents of another epoch"] if newer else [])]
