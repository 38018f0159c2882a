"""Valid things of every kind, for tests: each `make_` differs only in what the test names.

Nothing here touches a store; `store` inserts what was made, as it is.
"""

from typing import Any, TypeVar

from models.audit import AuditEntry
from models.batch import Batch
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection, InputMapping, Passthrough, Source
from models.delivery import Delivery
from models.document import Document
from models.errors import ErrorCategory
from models.fields import ExtractorChoice, FieldSpec, FieldType, VectorField
from models.ids import document_id, new_id
from models.object import Blob, Object
from models.row_error import RowError
from models.states import BatchStatus, BlockStatus
from models.stored import Stored
from models.task import Task, TaskType
from models.webhook import Webhook, WebhookSecret

PASSTHROUGH = ExtractorChoice(name="passthrough", version="v1")
S = TypeVar("S", bound=Stored)
VECTOR = VectorField(name="embedding", dimension=4)


def make_bucket(namespace_id: str, **values: Any) -> Bucket:
    """Return a bucket without a schema."""
    bucket_id = new_id("bkt")
    return _make(
        Bucket,
        {"id": bucket_id, "namespace_id": namespace_id, "name": bucket_id},
        values,
    )


def make_object(bucket: Bucket, **values: Any) -> Object:
    """Return an object of a bucket, with one number and one text."""
    return _make(
        Object,
        {
            "id": new_id("obj"),
            "namespace_id": bucket.namespace_id,
            "bucket_id": bucket.id,
            "metadata": {"number": 1},
            "blobs": [Blob(property="content", text="A text.")],
        },
        values,
    )


def make_collection(source: Bucket | list[Collection], /, **values: Any) -> Collection:
    """Return a collection that passes `number` through."""
    if isinstance(source, Bucket):
        namespace_id, reads = source.namespace_id, Source(bucket_id=source.id)
    else:
        namespace_id = source[0].namespace_id
        reads = Source(collection_ids=[one.id for one in source])
    collection_id = new_id("col")
    return _make(
        Collection,
        {
            "id": collection_id,
            "namespace_id": namespace_id,
            "name": collection_id,
            "source": reads,
            "extractor": PASSTHROUGH,
            "input_mappings": [InputMapping(input="content", path="number")],
            "passthrough": [Passthrough(path="number", target="number")],
            "output_fields": [FieldSpec(name="number", type=FieldType.OBJECT)],
        },
        values,
    )


def make_batch(namespace_id: str, **values: Any) -> Batch:
    """Return a draft without objects, at the number of its first event."""
    return _make(
        Batch,
        {
            "id": new_id("btc"),
            "namespace_id": namespace_id,
            "bucket_id": new_id("bkt"),
            "status": BatchStatus.DRAFT,
            "sequence": 1,
            "submission": new_id("sub"),
        },
        values,
    )


def make_block(batch: Batch, **values: Any) -> Block:
    """Return a block of a batch that may be claimed at once."""
    return _make(
        Block,
        {
            "id": new_id("blk"),
            "namespace_id": batch.namespace_id,
            "batch_id": batch.id,
            "submission": batch.submission,
            "collection_id": new_id("col"),
            "tier": 0,
            "ordinal": 0,
            "rows": 1,
            "status": BlockStatus.READY,
        },
        values,
    )


def make_reader(batch: Batch, *upstream: Block, **values: Any) -> Block:
    """Return a block that waits for the blocks it reads."""
    ids = [block.id for block in upstream]
    return make_block(
        batch,
        **{"tier": 1, "rows": None, "status": "WAITING", "reads": ids, "waits_for": ids, **values},
    )


def make_task(batch: Batch, **values: Any) -> Task:
    """Return the task of a submit."""
    return _make(
        Task,
        {
            "id": new_id("tsk"),
            "namespace_id": batch.namespace_id,
            "type": TaskType.BATCH_SUBMIT,
            "batch_id": batch.id,
            "status": batch.status,
        },
        values,
    )


def make_audit_entry(namespace_id: str, **values: Any) -> AuditEntry:
    """Return an entry of the audit log."""
    return _make(
        AuditEntry,
        {
            "id": new_id("aud"),
            "namespace_id": namespace_id,
            "action": "createBucket",
            "key_id": new_id("key"),
            "address": "192.0.2.1",
            "request_id": "0123456789abcdef",
            "outcome": "DONE",
        },
        values,
    )


def make_row_error(batch: Batch, **values: Any) -> RowError:
    """Return the error of one row."""
    return _make(
        RowError,
        {
            "id": new_id("err"),
            "namespace_id": batch.namespace_id,
            "batch_id": batch.id,
            "collection_id": new_id("col"),
            "block_id": new_id("blk"),
            "category": ErrorCategory.VALIDATION,
            "extractor": PASSTHROUGH.label,
            "message": "The row lacks a field.",
        },
        values,
    )


def make_document(block: Block, **values: Any) -> Document:
    """Return a document that a block wrote."""
    object_id = new_id("obj")
    made = document_id(
        namespace_id=block.namespace_id,
        collection_id=block.collection_id,
        source_id=object_id,
        extractor=PASSTHROUGH.label,
        ordinal=0,
    )
    return _make(
        Document,
        {
            "id": made,
            "namespace_id": block.namespace_id,
            "collection_id": block.collection_id,
            "batch_id": block.batch_id,
            "block_id": block.id,
            "epoch": block.epoch,
            "object_id": object_id,
            "source_id": object_id,
            "ordinal": 0,
        },
        values,
    )


def make_webhook(namespace_id: str, **values: Any) -> Webhook:
    """Return a webhook that is told everything, at an address where nobody is."""
    return _make(
        Webhook,
        {
            "id": new_id("whk"),
            "namespace_id": namespace_id,
            "url": "https://hooks.example/",
            "secrets": [WebhookSecret(sealed="nobody opens it")],
        },
        values,
    )


def make_delivery(webhook: Webhook, **values: Any) -> Delivery:
    """Return a delivery that has ended."""
    return _make(
        Delivery,
        {
            "id": new_id("dlv"),
            "namespace_id": webhook.namespace_id,
            "webhook_id": webhook.id,
            "event_id": new_id("evt"),
            "type": "object.created",
            "status": "DELIVERED",
        },
        values,
    )


def _make(kind: type[S], usual: dict[str, Any], values: dict[str, Any]) -> S:
    made: S = kind.model_validate({**usual, **values})
    return made


async def store(*things: Stored) -> None:
    """Insert documents as they are."""
    for thing in things:
        await type(thing).get_pymongo_collection().insert_one(thing.to_mongo())
