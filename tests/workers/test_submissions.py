import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.batch_member import BatchMember
from models.block import Block
from models.bus import Bus
from models.collection import Source
from models.errors import Conflict, EmptyBatch, IllegalTransition, NotFound, NothingToRun
from models.ids import new_id
from models.row_error import RowError
from models.scope import Scope
from models.settings import RedisSettings
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_block, make_bucket, make_collection, store
from tests.fixtures.stores import NamespaceOfTest
from tests.quiet import counting
from tests.workers.jobs import (
    Job,
    add_objects_to,
    before,
    inline_engine,
    make_draft,
    open_job,
    stored_keys,
    submit,
    with_engine,
)  # fmt: skip
from workers.batches import add_objects, open_batch, reconcile
from workers.collections import open_collection
from workers.submissions import plan_submission, submit_batch

Hook = Callable[[], Awaitable[None]]


class Crash(Exception):
    """The process ends here."""


async def assert_consistent(stores: Stores, job: Job) -> None:
    """Check that a queued batch is exactly its members, its blocks and its artifacts."""
    batch = await job.batch()
    blocks = await job.blocks()
    members = await job.scope.count(BatchMember, {"batch_id": job.batch_id})
    assert batch.status == "QUEUED"
    assert batch.counts.rows_in == batch.counts.objects == members
    assert batch.blocks_total == batch.blocks_open == len(blocks)
    assert {block.submission for block in blocks} == {batch.submission}
    assert sum(block.rows or 0 for block in blocks) == members - batch.counts.rows_missing_input
    assert {artifact.key for artifact in batch.artifacts} == await stored_keys(stores, job)
    assert await job.scope.count(Task, {"batch_id": job.batch_id}) == 1


async def test_a_submit_writes_rows_blocks_and_task(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=40)

    answer = await submit(stores, job)

    assert not answer.replayed
    batch, task = answer.batch, answer.task
    assert (batch.status, batch.task_id, task.status) == ("QUEUED", task.id, "QUEUED")
    assert batch.reason is not None
    assert batch.reason.code == "WAITING_FOR_WORKER"
    assert batch.submitted_at is not None
    assert [block.rows for block in await job.blocks()] == [16, 16, 8]
    assert await job.history() == ["batch.created", "batch.objects_added", "batch.queued"]
    await assert_consistent(stores, job)


async def test_the_rows_of_the_manifest_are_the_objects(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=40)
    await submit(stores, job)

    [artifact] = (await job.batch()).artifacts
    body = await stores.artifacts.read(artifact.key, sha256=artifact.sha256)
    file = pq.ParquetFile(pa.BufferReader(body))
    table = file.read()

    assert (artifact.rows, artifact.bytes, file.num_row_groups) == (40, len(body), 3)
    assert table.column("object_id").to_pylist() == sorted(job.object_ids)
    assert sorted(int(one) for one in table.column("in_content").to_pylist()) == list(range(40))


async def test_a_second_submit_answers_as_the_first_did(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    first = await submit(stores, job)

    second = await submit_batch(stores, job.scope, job.batch_id, include_processing_history=True)

    assert (first.replayed, second.replayed) == (False, True)
    assert second.task == first.task
    assert second.batch == first.batch
    await assert_consistent(stores, job)


async def test_twenty_submits_at_once_are_one_submission(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=40, collections=2)

    answers = await asyncio.gather(*(submit(stores, job) for _ in range(20)))

    assert [answer.replayed for answer in answers].count(False) == 1
    assert len({answer.task.id for answer in answers}) == 1
    assert len({answer.batch.model_dump_json() for answer in answers}) == 1
    batch, blocks = await job.batch(), await job.blocks()
    assert len(blocks) == batch.blocks_total == 6
    assert {block.submission for block in blocks} == {batch.submission}
    assert {one.key for one in batch.artifacts} == await stored_keys(stores, job)
    assert await job.history() == ["batch.created", "batch.objects_added", "batch.queued"]


async def test_a_submit_of_an_ended_batch_answers_with_its_end(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="COMPLETED", task_id=new_id("tsk"))
    await store(batch)
    task = Task(
        id=batch.task_id, namespace_id=namespace.id, type="BATCH_SUBMIT", batch_id=batch.id,
        status="COMPLETED",
    )  # fmt: skip
    await store(task)

    answer = await submit_batch(stores, namespace.scope, batch.id)

    assert (answer.replayed, answer.batch.status, answer.task) == (True, "COMPLETED", task)


async def test_objects_added_while_rows_are_written_are_part_of_the_batch(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    more = await add_objects_to(stores, job.scope, job.bucket, [{"number": n} for n in range(20)])

    async def add_once() -> None:
        if more:
            await add_objects(stores, job.scope, job.batch_id, [more.pop() for _ in range(20)])

    answer = await submit(before(stores, "artifacts", "create", add_once), job)

    assert answer.batch.counts.rows_in == answer.batch.counts.objects == 23
    await assert_consistent(stores, job)


async def test_a_submit_gives_up_when_objects_never_cease_to_come(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    more = await add_objects_to(stores, job.scope, job.bucket, [{"number": n} for n in range(9)])

    async def add_one() -> None:
        await add_objects(stores, job.scope, job.batch_id, [more.pop()])

    with pytest.raises(Conflict, match="while it was submitted"):
        await submit(before(stores, "artifacts", "create", add_one), job)

    assert (await job.batch()).status == "DRAFT"
    assert await job.blocks() == []
    assert await stored_keys(stores, job) == set()
    await submit(stores, job)
    await assert_consistent(stores, job)


async def test_adding_and_submitting_at_once_counts_every_object_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    for attempt in range(6):
        scope = Scope(new_id("ns"))
        job = await open_job(stores, scope, objects=2)
        more = await add_objects_to(stores, scope, job.bucket, [{"number": n} for n in range(12)])
        adding = [
            add_objects(stores, scope, job.batch_id, more[at : at + 4]) for at in (0, 2, 4, 8)
        ]

        outcomes = await asyncio.gather(
            *adding[:attempt], submit(stores, job), *adding[attempt:], return_exceptions=True
        )

        refused = [one for one in outcomes if isinstance(one, Exception)]
        assert all(isinstance(one, Conflict | IllegalTransition) for one in refused), refused
        if isinstance(outcomes[min(attempt, len(adding))], Conflict):
            await submit(stores, job)  # it lost to the additions every time and said so
        await assert_consistent(stores, job)


async def test_an_attempt_that_lost_removes_nothing_of_the_attempt_that_wins(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    more = await add_objects_to(stores, job.scope, job.bucket, [{"number": 7}])
    flattened, inserted, withdrew, won = (asyncio.Event() for _ in range(4))

    async def slow() -> None:
        if not flattened.is_set():
            flattened.set()
            await inserted.wait()
        else:
            withdrew.set()
            await won.wait()

    async def late() -> None:
        inserted.set()
        await withdrew.wait()

    losing = asyncio.create_task(submit(before(stores, "artifacts", "create", slow), job))
    await flattened.wait()
    await add_objects(stores, job.scope, job.batch_id, more)
    winner = await submit(before(stores, "database", "transaction", late), job)
    won.set()
    loser = await losing

    assert (winner.replayed, loser.replayed) == (False, True)
    assert winner.task == loser.task
    await assert_consistent(stores, job)


async def test_a_crash_before_the_last_step_leaves_a_draft_that_can_be_submitted(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)

    async def crash() -> None:
        raise Crash

    with pytest.raises(Crash):
        await submit(before(stores, "database", "transaction", crash), job)

    batch = await job.batch()
    assert (batch.status, batch.submission, batch.task_id) == ("DRAFT", None, None)
    assert len(await job.blocks()) == 2  # written, and of no meaning
    abandoned = await stored_keys(stores, job)
    answer = await submit(stores, job)
    assert not answer.replayed
    assert {block.submission for block in await job.blocks()} == {answer.batch.submission}
    assert not abandoned & {artifact.key for artifact in answer.batch.artifacts}


async def test_a_crash_after_the_last_step_leaves_no_blocks_of_other_attempts(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)
    answer = await submit(stores, job)
    other = {"submission": new_id("sub")}
    await store(make_block(answer.batch, **other), make_block(answer.batch, **other))
    assert len(await job.blocks()) == 4

    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)

    assert {block.submission for block in await job.blocks()} == {answer.batch.submission}
    assert len(await job.blocks()) == 2


async def test_a_batch_without_objects_is_refused_as_it_was(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=0)

    for call in (submit_batch, plan_submission):
        with pytest.raises(EmptyBatch, match=job.batch_id):
            await call(stores, job.scope, job.batch_id)

    assert await job.history() == ["batch.created"]


async def test_a_bucket_that_nothing_reads_is_refused_as_it_was(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, collections=0)

    for call in (submit_batch, plan_submission):
        with pytest.raises(NothingToRun, match=job.bucket.id):
            await call(stores, job.scope, job.batch_id)

    assert (await job.batch()).status == "DRAFT"


async def test_collections_of_other_namespaces_do_not_run(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    foreign = make_collection(make_bucket(new_id("ns"), id=job.bucket.id))
    await store(foreign)

    answer = await submit(stores, job)

    assert [tier.collection_ids for tier in answer.batch.tiers] == [[job.collections[0].id]]


async def test_unknown_and_foreign_batches_read_the_same(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    stranger = Scope(new_id("ns"))

    for batch_id in (job.batch_id, new_id("btc")):
        for call in (submit_batch, plan_submission):
            with pytest.raises(NotFound, match=f"No batch '{batch_id}' here") as refused:
                await call(stores, stranger, batch_id)
            assert refused.value.path == ("batchId",)
    assert (await job.batch()).status == "DRAFT"


async def test_a_plan_says_what_a_submit_does_and_writes_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20, collections=3)

    plan = await plan_submission(stores, job.scope, job.batch_id)

    assert (await job.batch()).status == "DRAFT"
    assert await job.blocks() == []
    assert await stored_keys(stores, job) == set()
    answer = await submit(stores, job)
    tiers = [[collection.id for collection in tier] for tier in plan.tiers]
    assert tiers == [tier.collection_ids for tier in answer.batch.tiers]
    shapes = [(b.tier, b.collection_id, b.rows, b.status) for b in plan.blocks]
    assert sorted(shapes, key=str) == sorted(
        ((b.tier, b.collection_id, b.rows, b.status) for b in await job.blocks()), key=str
    )


async def test_later_tiers_wait_for_exactly_the_blocks_that_they_read(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20, collections=3)
    await submit(stores, job)

    tiers: list[list[Block]] = [[], [], []]
    for block in await job.blocks():
        tiers[block.tier].append(block)

    assert [[block.status for block in tier] for tier in tiers] == [
        ["READY"] * 2, ["WAITING"] * 2, ["WAITING"] * 2,
    ]  # fmt: skip
    for upper, lower in ((tiers[1], tiers[0]), (tiers[2], tiers[1])):
        assert all(block.reads == block.waits_for for block in upper)
        assert sorted(one for block in upper for one in block.reads) == sorted(
            block.id for block in lower
        )


async def test_rows_that_lack_something_are_counted_and_named(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, rows=[{"number": 1}, {}, {"other": 2}])

    batch = (await submit(stores, job)).batch

    assert (batch.counts.rows_in, batch.counts.rows_missing_input) == (3, 2)
    errors = await job.scope.all(RowError, {"batch_id": job.batch_id})
    assert {error.object_id for error in errors} == set(job.object_ids[1:])
    assert {error.message for error in errors} == {"Required field 'number' is missing."}
    assert batch.funnels[job.collections[0].id].rows_missing_input == 2
    await assert_consistent(stores, job)


async def test_two_collections_of_one_extractor_share_an_artifact(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    draft = make_draft(Source(bucket_id=job.bucket.id), "beside")
    beside = await open_collection(job.scope, draft)

    batch = (await submit(stores, job)).batch

    assert len(batch.artifacts) == 1
    assert batch.counts.rows_in == 6
    found = {block.collection_id for block in await job.blocks()}
    assert found == {job.collections[0].id, beside.id}


async def test_rows_are_cut_into_blocks_of_the_configured_size(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=6)

    await submit(with_engine(stores, block_rows=2), job)

    assert [block.rows for block in await job.blocks()] == [2, 2, 2]


async def test_s17_a_submit_needs_no_redis(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope)
    bus = Bus(RedisSettings(url="redis://127.0.0.1:1/0"))

    async with asyncio.timeout(20):
        answer = await submit(replace(stores, bus=bus), job)

    await bus.close()
    assert answer.batch.status == "QUEUED"
    await assert_consistent(stores, job)


async def test_a_submitted_task_is_mirrored(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope)
    task = (await submit(stores, job)).task

    mirrored = await stores.bus.read_task(task.id)

    assert mirrored is not None
    assert Task.model_validate_json(mirrored) == task


async def test_an_estimate_comes_from_the_latest_blocks_of_the_same_collections(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)
    assert (await plan_submission(stores, job.scope, job.batch_id)).estimated_seconds is None
    past = make_batch(namespace.id, status=BatchStatus.COMPLETED)
    moment = past.created_at
    done = {
        "status": "DONE", "counts": {"rows_in": 10}, "collection_id": job.collections[0].id,
        "started_at": moment.replace(second=1), "finished_at": moment.replace(second=3),
    }  # fmt: skip
    rows = [make_block(past, **done).to_mongo() for _ in range(60)]
    others = [make_block(past, status="DONE").to_mongo() for _ in range(300)]
    await Block.get_pymongo_collection().insert_many([*rows, *others])

    async with counting(stores) as looked_at:
        plan = await plan_submission(stores, job.scope, job.batch_id)
        assert 1 <= await looked_at() <= 50

    assert plan.estimated_seconds == pytest.approx(2.0)  # 20 rows at 5 a second, two at a time


async def test_a_draft_deleted_while_it_is_submitted_stays_gone(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    from workers.batches import delete_batch

    job = await open_job(stores, namespace.scope)

    async def delete() -> None:
        await delete_batch(stores, job.scope, job.batch_id)

    with pytest.raises(NotFound):
        await submit(before(stores, "database", "transaction", delete), job)

    assert await job.blocks() == []
    assert await stored_keys(stores, job) == set()
    assert await job.scope.count(Task) == 0


async def test_opening_a_batch_again_shares_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    other = await open_batch(
        stores, job.scope, bucket_id=job.bucket.id, name="", metadata={},
        object_ids=job.object_ids[:1],
    )  # fmt: skip

    first = await submit(stores, job)
    second = await submit_batch(stores, job.scope, other.id)

    assert first.task.id != second.task.id
    assert (first.batch.counts.rows_in, second.batch.counts.rows_in) == (3, 1)
