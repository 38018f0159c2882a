"""Batches that move only when a test moves them: nobody else's sweep is due on them."""

from datetime import datetime
from typing import Any

from models.batch import Batch, change_batch
from models.database import Session
from models.events import Event, EventType
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest
from workers.transitions import move_batch

FAR_AWAY = datetime.fromisoformat("2100-01-01T00:00:00+00:00")


async def run_batch(namespace: NamespaceOfTest, **values: Any) -> Batch:
    """Store a batch under way, with the event it begins with."""
    batch = make_batch(
        namespace.id,
        **{
            "status": BatchStatus.PROCESSING,
            "lease_until": FAR_AWAY,
            "blocks_total": 1,
            "blocks_open": 1,
            **values,
        },
    )
    first = _event(batch.to_mongo(), 1, EventType.BATCH_CREATED)
    await store(batch, first)
    return batch


async def add_events(
    stores: Stores,
    batch: Batch,
    count: int = 1,
    kind: EventType = EventType.BLOCK_RETRIED,
    *,
    announce: bool = True,
    **values: Any,
) -> int:
    """Write events, all in one transaction, and announce them; return the last one's number."""

    async def work(session: Session) -> int:
        rows = Batch.get_pymongo_collection()
        change = {"$inc": {"sequence": count}, "$set": {"updated_at": now(), **values}}
        await rows.update_one({"_id": batch.id}, change, session=session)
        row = await rows.find_one({"_id": batch.id}, session=session)
        assert row is not None
        last: int = row["sequence"]
        written = [_event(row, n, kind).to_mongo() for n in range(last - count + 1, last + 1)]
        await Event.get_pymongo_collection().insert_many(written, session=session)
        return last

    last = await stores.database.transaction(work)
    if announce:
        await stores.bus.announce(batch.namespace_id, batch.id, last)
    return last


async def rename(stores: Stores, batch: Batch, name: str) -> None:
    """Change a batch in the ordinary way."""

    async def work(session: Session) -> Event | None:
        match, change = {"_id": batch.id}, {"$set": {"name": name}}
        return await change_batch(session, match, change, EventType.BLOCK_RETRIED)

    event = await stores.database.transaction(work)
    assert event is not None
    await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)


async def end_batch(stores: Stores, batch: Batch, to: BatchStatus = BatchStatus.COMPLETED) -> int:
    """Move a batch to its end; return the number of its terminal event."""
    event = await move_batch(stores, batch.id, to, values={"finished_at": now()})
    assert event is not None
    return event.sequence


def _event(row: dict[str, Any], sequence: int, kind: EventType) -> Event:
    return Event(
        id=new_id("evt"),
        namespace_id=row["namespace_id"],
        batch_id=row["_id"],
        sequence=sequence,
        type=kind,
        status=row["status"],
    )
