"""What a run must have come to: the outcome without faults, worked out from what clients gave."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.simulation.checker import require
from tests.simulation.extractors import POISON
from tests.simulation.mongo.server import Server
from tests.simulation.points import Points
from tests.simulation.receiver import Receiver
from tests.simulation.scenario import SECRET, Order, Tenant

_TOLD: Final = frozenset(
    {
        "batch.queued", "batch.processing", "batch.completed", "batch.completed_with_errors",
        "batch.failed", "batch.canceled", "batch.deleted", "tier.completed",
        "collection.documents.written", "collection.schema_changed", "endpoint.disabled",
    }
)  # fmt: skip
Row = Mapping[str, Any]


def words_of(text: str) -> list[str]:
    """Return the words that a row yields documents for."""
    words = text.split()
    return [] if POISON in words else words


def expected_end(order: Order) -> tuple[str, dict[str, int]]:
    """Return how a batch ends without faults, and some of its counts."""
    texts = [order.tenant.texts[one] for one in order.object_ids]
    words = sum(len(words_of(text)) for text in texts)
    bad = sum(POISON in text.split() for text in texts)
    tiers = len(order.tenant.chain)
    counts = {
        "objects": len(texts),
        "rows_in": len(texts) + words * (tiers - 1),
        "rows_failed": bad,
        "rows_succeeded": len(texts) - bad + words * (tiers - 1),
        "documents_written": words * tiers,
    }
    if not words:
        return "FAILED", counts
    return ("COMPLETED_WITH_ERRORS" if bad else "COMPLETED"), counts


def is_as_expected(server: Server, order: Order) -> bool:
    """Tell whether a batch has ended as it would have without faults."""
    batch = server.table("batches").rows[order.batch_id].value
    status, counts = expected_end(order)
    return batch["status"] == status and all(
        batch["counts"][name] == value for name, value in counts.items()
    )


def require_outcome(
    server: Server, points: Points, receiver: Receiver, tenants: Sequence[Tenant],
    orders: Sequence[Order],
) -> None:  # fmt: skip
    """Compare everything that there is at the end with a run without faults."""
    documents = [row.value for row in server.table("documents").rows.values()]
    for order in orders:
        if not order.canceled:
            batch = server.table("batches").rows[order.batch_id].value
            said = f"{order.batch_id} ended {batch['status']} with {batch['counts']}"
            require("I2", is_as_expected(server, order), f"{said}, not {expected_end(order)}")
    for tenant in tenants:
        _require_documents(tenant, documents, [one for one in orders if one.tenant is tenant])
        _require_counts(server, tenant, documents)
        _require_told(server, receiver, tenant)
    _require_points(points, documents)


def _require_documents(tenant: Tenant, documents: Sequence[Row], orders: Sequence[Order]) -> None:
    must = {one for order in orders if not order.canceled for one in order.object_ids}
    may = {one for order in orders for one in order.object_ids}
    by_source: dict[tuple[str, str], list[Row]] = {}
    for document in documents:
        key = (document["collection_id"], document["source_id"])
        by_source.setdefault(key, []).append(document)
    for object_id, text in tenant.texts.items():
        sources, wanted = [object_id], [words_of(text)]
        for collection in tenant.chain:
            found: list[str] = []
            for source, words in zip(sources, wanted, strict=True):
                made = by_source.pop((collection.id, source), [])
                made.sort(key=lambda one: int(one["ordinal"]))
                said = [one["fields"]["word"] for one in made]
                right = said == words or (object_id not in must and not said)
                require("I2", right, f"{source} in {collection.id}: {said}, not {words}")
                require("I2", object_id in may or not said, f"{object_id} was in no batch")
                same = [one["ordinal"] for one in made] == list(range(len(made)))
                require("I3", same, f"{source}: its documents' ordinals")
                found += [one["_id"] for one in made]
            words_made = [word for words in wanted for word in words] if found else []
            sources, wanted = found, [[word] for word in words_made]
    strange = [key for key in by_source if key[0] in {one.id for one in tenant.chain}]
    require("I2", not strange, f"documents of nothing: {strange}")


def _require_counts(server: Server, tenant: Tenant, documents: Sequence[Row]) -> None:
    counted = Counter(one["collection_id"] for one in documents)
    for collection in tenant.chain:
        row = server.table("collections").rows[collection.id].value
        said = f"{collection.id} counts {row['document_count']} documents"
        require("I4", row["document_count"] == counted[collection.id], said)
    queued = sum(
        row.value.get("counts", {}).get("batches_queued", 0)
        for row in server.table("rollups").rows.values()
        if row.value["namespace_id"] == tenant.namespace_id
    )
    events = [
        row.value
        for row in server.table("events").rows.values()
        if row.value["namespace_id"] == tenant.namespace_id
    ]
    happened = sum(event["type"] == "batch.queued" for event in events)
    require("I4", queued == happened, f"{queued} batches were rolled up, of {happened}")


def _require_told(server: Server, receiver: Receiver, tenant: Tenant) -> None:
    """Check that each event was delivered to its namespace's webhook, and to no other."""
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    bodies: dict[str, bytes] = {}
    delivered: set[str] = set()
    for one in receiver.received:
        if one.url != tenant.webhook.url:
            continue
        event_id = one.headers["webhook-id"]
        require("I6", bodies.setdefault(event_id, one.body) == one.body, f"{event_id}: its bodies")
        owner = json.loads(one.body)["namespaceId"]
        require("I7", owner == tenant.namespace_id, f"{event_id} of {owner} was sent elsewhere")
        content = f"{event_id}.{one.headers['webhook-timestamp']}.".encode() + one.body
        digest = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
        require("I6", f"v1,{digest}" == one.headers["webhook-signature"], f"{event_id}: signature")
        if one.status == 200:
            delivered.add(event_id)
    wanted = {
        row.value["_id"]
        for row in server.table("events").rows.values()
        if row.value["namespace_id"] == tenant.namespace_id and row.value["type"] in _TOLD
    }
    require("I6", delivered == wanted, f"never told: {sorted(wanted ^ delivered)}")


def _require_points(points: Points, documents: Sequence[Row]) -> None:
    for document in documents:
        found = points.stored[f"strata_{document['collection_id']}"].get(document["_id"])
        require("I3", found is not None, f"{document['_id']} has no point")
        assert found is not None
        word = document["fields"]["word"]
        right = found["vectors"]["embedding"] == [len(word), sum(word.encode())]
        require("I2", right, f"{document['_id']} has another vector")
