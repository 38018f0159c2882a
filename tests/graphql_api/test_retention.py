"""How far the log goes back: what is removed, what stays, and that no reader misses it unsaid."""

from datetime import timedelta
from typing import Any

import pytest

from models.event_log import EventLog, read_entries, read_position, read_trimmed
from models.events import Event, read_events, read_transitions
from models.stored import now
from models.stores import Stores
from tests.factories import make_bucket, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes
from tests.workers.jobs import Job, add_objects_to, inline_engine, open_job, submit
from tests.workers.test_schedules import plan
from workers.analytics import roll_up_all
from workers.batches import reconcile
from workers.events import publish
from workers.retention import trim, trim_logs
from workers.schedules import tend_schedules

DAYS = 30
FOLLOW = """subscription($after: String) { namespaceEvents(after: $after) {
  __typename cursor fromPosition position ... on NamespaceEvents { events { position type } }
  ... on NamespaceDiscontinuity { reason } } }"""
BATCH = """subscription($id: ID!, $after: String) { batchEvents(batchId: $id, after: $after) {
  __typename cursor fromSequence sequence ... on BatchDiscontinuity { reason } } }"""


async def log_of(stores: Stores, namespace: NamespaceOfTest) -> EventLog:
    """Return the log with everything in its place and added up."""
    await publish(stores, namespace.id)
    await roll_up_all(stores)
    found = await EventLog.get(namespace.id)
    assert found is not None
    return found


async def age(namespace: NamespaceOfTest, *, days: int = DAYS + 1, **match: Any) -> None:
    """Let entries be from long ago."""
    await Event.get_pymongo_collection().update_many(
        {"namespace_id": namespace.id, **match}, {"$set": {"at": now() - timedelta(days=days)}}
    )


async def trimmed_once(stores: Stores, namespace: NamespaceOfTest) -> None:
    """Sweep until somebody has looked at the log."""
    while await EventLog.find({"_id": namespace.id, "trim_at": {"$gt": now()}}).count() == 0:
        await trim_logs(stores)


async def finished_job(stores: Stores, namespace: NamespaceOfTest) -> Job:
    job = await open_job(stores, namespace.scope, objects=40)
    await finish(stores, job)
    return job


async def finish(stores: Stores, job: Job) -> None:
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)
        await engine.runs[0]
        await reconcile(stores, engine, job.batch_id)
    assert (await job.batch()).status == "COMPLETED"


async def test_old_entries_go_and_later_ones_keep_their_positions(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await finished_job(stores, namespace)
    last = (await log_of(stores, namespace)).position
    await age(namespace)
    await add_objects_to(stores, namespace.scope, job.bucket, [{"number": 1}])
    log = await log_of(stores, namespace)

    removed = await trim(log, days=DAYS)

    left = await read_entries(namespace.id, after=0, limit=1000)
    assert removed == last - 4
    assert [str(one.type) for one in left] == [
        "batch.created", "batch.queued", "batch.processing", "batch.completed", "object.created",
    ]  # fmt: skip
    assert left[-1].position == await read_position(namespace.id) == last + 1
    assert await read_trimmed(namespace.id) == last
    assert len(await read_transitions(job.batch_id)) == 4


async def test_a_batch_that_has_not_ended_keeps_all_of_its_events(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    await log_of(stores, namespace)
    await age(namespace)

    assert await trim(await log_of(stores, namespace), days=DAYS) == 1  # the objects' notice

    assert len(await read_events(job.batch_id, after=0, limit=10)) == 2


async def test_what_was_not_added_up_yet_stays(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    await add_objects_to(stores, namespace.scope, bucket, [{}])
    await publish(stores, namespace.id)
    await age(namespace)
    await EventLog.get_pymongo_collection().update_one(
        {"_id": namespace.id}, {"$set": {"rolled_up": 0}}
    )
    log = await EventLog.get(namespace.id)
    assert log is not None

    assert await trim(log, days=DAYS) == 0


async def test_the_sweep_trims_each_log_once_in_a_while(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    await add_objects_to(stores, namespace.scope, bucket, [{}])
    await log_of(stores, namespace)
    await age(namespace)
    await trimmed_once(stores, namespace)

    assert await read_trimmed(namespace.id) == 1
    assert await read_entries(namespace.id, after=0, limit=10) == []


NAMESPACE = """{ namespace { retention {
  eventDays longestEventDays deliveryDays auditDays } } }"""
UPDATE = f"""mutation($days: Int) {{ updateNamespace(input: {{eventDays: $days}}) {{
  namespace {{ retention {{ eventDays }} }} {ERRORS} }} }}"""


async def test_a_namespace_shows_how_long_things_are_kept(caller: GraphQL) -> None:
    shown = (await caller.data(NAMESPACE))["namespace"]["retention"]

    assert shown == {
        "eventDays": 30.0, "longestEventDays": 30.0, "deliveryDays": 30, "auditDays": 365,
    }  # fmt: skip


async def test_a_namespace_may_keep_its_log_for_a_shorter_time(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    await add_objects_to(stores, namespace.scope, bucket, [{}])
    await log_of(stores, namespace)
    await age(namespace, days=2)

    changed = await call(caller, UPDATE, days=1)

    assert changed["namespace"]["retention"] == {"eventDays": 1.0}
    await trimmed_once(stores, namespace)
    assert await read_trimmed(namespace.id) == 1


@pytest.mark.parametrize("days", [0, -1, 31, 400])
async def test_a_namespace_keeps_nothing_longer_than_the_operator(
    caller: GraphQL, days: int
) -> None:
    refused = await call(caller, UPDATE, days=days)

    assert codes(refused) == [("INVALID_INPUT", ["eventDays"])]
    shown = (await caller.data(NAMESPACE))["namespace"]["retention"]
    assert shown["eventDays"] == 30.0


async def test_a_schedule_whose_place_was_trimmed_takes_all_of_its_bucket(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    await planned.add(1)
    await planned.due()
    await tend_schedules(stores)
    await planned.end_batch()
    await planned.add(2, 3)
    await log_of(stores, namespace)
    await age(namespace)
    await trim(await log_of(stores, namespace), days=DAYS)

    await planned.due()
    await tend_schedules(stores)

    assert (await planned.batch()).counts.objects == 3


async def test_a_subscriber_of_the_namespace_is_told_of_what_is_gone(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Also one who is there while it goes."""
    bucket = make_bucket(namespace.id)
    await store(bucket)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW)
        first = await socket.next()
    for number in range(5):
        await add_objects_to(stores, namespace.scope, bucket, [{"number": number}])
        await publish(stores, namespace.id)
    await age(namespace, position={"$lte": 3})
    await trim(await log_of(stores, namespace), days=DAYS)

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"after": first["cursor"]})
        gap, rest = await socket.next(), await socket.next()
        await add_objects_to(stores, namespace.scope, bucket, [{"number": 9}])
        await publish(stores, namespace.id)
        followed = await socket.next()
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"after": gap["cursor"]})
        resumed = await socket.next()

    assert (gap["__typename"], gap["reason"]) == ("NamespaceDiscontinuity", "RETENTION")
    assert [(one["fromPosition"], one["position"]) for one in (gap, rest, followed)] == [
        (1, 3), (4, 5), (6, 6),
    ]  # fmt: skip
    assert [one["position"] for one in rest["events"]] == [4, 5]
    assert [one["position"] for one in resumed["events"]] == [4, 5, 6]


async def test_a_subscriber_of_a_batch_is_told_of_what_is_gone(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Changes of status stay: what joins the cursor is sent, and the hole behind it is said."""
    job = await open_job(stores, namespace.scope, objects=40)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(BATCH, {"id": job.batch_id})
        draft = await socket.next()
    await finish(stores, job)
    await log_of(stores, namespace)
    await age(namespace)
    await trim(await log_of(stores, namespace), days=DAYS)

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(BATCH, {"id": job.batch_id, "after": draft["cursor"]})
        frames = [await socket.next() for _ in range(3)]
        assert (await socket.receive())["type"] == "complete"

    last = (await job.batch()).sequence
    assert [(one["__typename"], one["fromSequence"], one["sequence"]) for one in frames] == [
        ("BatchEvents", 3, 4),  # queued, processing
        ("BatchDiscontinuity", 5, last),
        ("BatchSnapshot", 5, last),
    ]
    assert frames[1]["reason"] == "RETENTION"
