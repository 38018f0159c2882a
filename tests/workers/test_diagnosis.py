"""What a diagnosis finds: each finding from damage or trouble in MongoDB alone."""

from datetime import timedelta
from typing import Any

import pytest

from models.batch import Batch
from models.errors import ErrorCategory
from models.events import Event, EventType
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_block, make_row_error, store
from tests.fixtures.stores import NamespaceOfTest
from tests.quiet import counting
from tests.workers.jobs import with_quotas
from workers.diagnosis.findings import Finding, Health, Severity
from workers.diagnosis.judging import Diagnosis, diagnose_batch
from workers.steering import pause_batch

COLLECTION = "col_0"
OTHER = "col_1"


def ago(seconds: float) -> Any:
    return now() - timedelta(seconds=seconds)


def at_work(namespace: NamespaceOfTest, **values: Any) -> Batch:
    """Return a batch that somebody holds, with one of two blocks done."""
    return make_batch(
        namespace.id,
        **{
            "status": BatchStatus.PROCESSING,
            "lease_until": now() + timedelta(seconds=30),
            "blocks_total": 2,
            "blocks_open": 1,
            **values,
        },
    )


def leased(batch: Batch, **values: Any) -> Any:
    usual = {"status": "LEASED", "lease_until": now() + timedelta(seconds=30), "attempts": 1}
    return make_block(
        batch, **{**usual, "collection_id": COLLECTION, "started_at": ago(1), **values}
    )


def done(batch: Batch, **values: Any) -> Any:
    usual = {"status": "DONE", "started_at": ago(3), "finished_at": ago(2)}
    counts = {"rows_in": 1, "rows_succeeded": 1, "documents_written": 1}
    return make_block(batch, **{**usual, "collection_id": COLLECTION, "counts": counts, **values})


def ready(batch: Batch, **values: Any) -> Any:
    return make_block(batch, **{"collection_id": COLLECTION, **values})


async def diagnose(stores: Stores, namespace: NamespaceOfTest, batch: Batch) -> Diagnosis:
    found = await diagnose_batch(stores.settings, namespace.scope, batch.id)
    assert found is not None
    return found


async def only(stores: Stores, namespace: NamespaceOfTest, batch: Batch) -> tuple[Health, Finding]:
    """Return a batch's health and its one finding."""
    found = await diagnose(stores, namespace, batch)
    [finding] = found.findings
    assert finding.summary
    assert finding.recommendation
    return found.judgement.health, finding


async def test_a_batch_at_work_has_no_findings(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace)
    await store(batch, done(batch), leased(batch))

    found = await diagnose(stores, namespace, batch)

    assert (found.judgement.health, found.findings, found.sample) == (Health.HEALTHY, [], [])
    assert "1 of 2 blocks are done" in found.judgement.summary
    assert found.case.oldest_lease is not None


async def test_reads_the_blocks_of_one_batch_alone(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, other = at_work(namespace), at_work(namespace)
    await store(batch, other, leased(batch), *(done(other) for _ in range(50)))

    async with counting(stores) as looked_at:
        await diagnose(stores, namespace, batch)
        assert await looked_at() == 1


async def test_a_batch_of_another_namespace_is_not_there(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(new_id("ns"))
    await store(batch)

    assert await diagnose_batch(stores.settings, namespace.scope, batch.id) is None


@pytest.mark.parametrize("status", ["COMPLETED", "COMPLETED_WITH_ERRORS", "CANCELED"])
async def test_an_ended_batch_is_ended(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = make_batch(namespace.id, status=status, updated_at=ago(9999))
    await store(batch, done(batch))

    found = await diagnose(stores, namespace, batch)

    assert (found.judgement.health, found.findings) == (Health.ENDED, [])


async def test_a_deadline_that_is_near_is_told(stores: Stores, namespace: NamespaceOfTest) -> None:
    near = at_work(namespace, deadline_seconds=600, deadline_at=now() + timedelta(seconds=100))
    late = at_work(namespace, deadline_seconds=600, deadline_at=now() + timedelta(seconds=500))
    in_time = at_work(namespace, deadline_seconds=600, deadline_at=now() + timedelta(seconds=500))
    await store(near, late, in_time, leased(near), leased(late), leased(in_time))
    await store(done(late, started_at=ago(1000)), done(in_time, started_at=ago(300)))

    health, finding = await only(stores, namespace, near)
    assert (health, finding.category) == (Health.SLOW, "DEADLINE_NEAR")
    assert finding.evidence["secondsNeeded"] is None
    health, finding = await only(stores, namespace, late)
    assert (health, finding.category) == (Health.DEGRADED, "DEADLINE_NEAR")
    assert "At its pace it needs 99" in finding.summary
    assert (await diagnose(stores, namespace, in_time)).findings == []


async def test_a_limit_that_is_not_reached_any_more_hides_no_worker_that_is_gone(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    two = with_quotas(stores, processing_batches=2)
    reason = {"code": "NAMESPACE_LIMIT", "message": "Two are under way.", "since": ago(9999)}
    waits = make_batch(namespace.id, status="QUEUED", reason=reason, updated_at=ago(9000))
    held, gone = at_work(namespace, updated_at=ago(8000)), at_work(namespace, updated_at=ago(7000))
    await store(waits, held, gone)
    assert (await only(two, namespace, waits))[1].category == "HELD_BACK"

    lapsed = {"$set": {"lease_until": ago(5000)}}
    await Batch.get_pymongo_collection().update_one({"_id": gone.id}, lapsed)

    health, finding = await only(two, namespace, waits)
    assert (health, finding.category) == (Health.STUCK, "WAITING_FOR_WORKER")
    assert 6990 < float(str(finding.evidence["waited"])) < 7100  # since the namespace last moved


async def test_a_draft_is_explained(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = make_batch(namespace.id, reason={"code": "NOT_SUBMITTED", "message": "A draft."})
    await store(batch)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category, finding.severity) == (
        Health.HEALTHY, "NOT_SUBMITTED", Severity.INFO,
    )  # fmt: skip


async def test_a_limit_is_no_defect(stores: Stores, namespace: NamespaceOfTest) -> None:
    reason = {"code": "AT_THE_LIMIT", "message": "Four batches run already."}
    batch = make_batch(namespace.id, status="QUEUED", reason=reason, updated_at=ago(9999))
    await store(batch, ready(batch))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category, finding.summary) == (
        Health.HEALTHY, "HELD_BACK", "Four batches run already.",
    )  # fmt: skip
    assert finding.evidence["reason"] == "AT_THE_LIMIT"


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
async def test_a_paused_batch_is_held_back_and_no_more(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = at_work(namespace, status=status, lease_until=ago(500), updated_at=ago(500))
    await store(batch, done(batch, started_at=ago(510)), ready(batch))
    await pause_batch(stores, namespace.scope, batch.id)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.HEALTHY, "HELD_BACK")
    assert finding.evidence["reason"] == "PAUSED"


@pytest.mark.parametrize("status", ["QUEUED", "CANCELING"])
@pytest.mark.parametrize(("waited", "health"), [(30, Health.SLOW), (300, Health.STUCK)])
async def test_finds_that_no_worker_takes_it(
    stores: Stores, namespace: NamespaceOfTest, status: str, waited: float, health: Health
) -> None:
    batch = make_batch(namespace.id, status=status, updated_at=ago(waited))
    await store(batch)

    found, finding = await only(stores, namespace, batch)

    assert (found, finding.category) == (health, "WAITING_FOR_WORKER")
    assert finding.evidence["waited"] == pytest.approx(waited, abs=5)
    assert "strata worker" in finding.recommendation


async def test_leaves_a_batch_that_was_just_queued(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="QUEUED")
    await store(batch)

    assert (await diagnose(stores, namespace, batch)).findings == []


async def test_finds_that_the_engine_is_down(stores: Stores, namespace: NamespaceOfTest) -> None:
    since = ago(30)
    reason = {"code": "WAITING_FOR_ENGINE", "message": "Ray does not answer.", "since": since}
    batch = make_batch(namespace.id, status="QUEUED", reason=reason)
    await store(batch)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.DEGRADED, "NO_CONDUCTOR")
    assert "Ray does not answer." in finding.summary
    assert finding.evidence["since"] == since


@pytest.mark.parametrize(("over", "health"), [(30, Health.DEGRADED), (300, Health.STUCK)])
async def test_finds_that_a_run_has_died(
    stores: Stores, namespace: NamespaceOfTest, over: float, health: Health
) -> None:
    batch = at_work(namespace, lease_until=ago(over), epoch=4)
    await store(batch, done(batch), leased(batch))

    found, finding = await only(stores, namespace, batch)

    assert (found, finding.category) == (health, "NO_CONDUCTOR")
    assert finding.evidence["epoch"] == 4


@pytest.mark.parametrize(("over", "health"), [(20, Health.DEGRADED), (300, Health.STUCK)])
async def test_finds_lapsed_leases(
    stores: Stores, namespace: NamespaceOfTest, over: float, health: Health
) -> None:
    batch, end = at_work(namespace), ago(over)
    await store(batch, done(batch), leased(batch, lease_until=end))

    found, finding = await only(stores, namespace, batch)

    assert (found, finding.category) == (health, "LEASE_LAPSED")
    assert finding.evidence == {"blocks": 1, "oldestLease": end}


async def test_finds_blocks_that_nobody_claims(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace, updated_at=ago(500))
    await store(batch, done(batch, started_at=ago(510)), ready(batch))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.STUCK, "UNCLAIMED")
    assert finding.evidence["blocksReady"] == 1


async def test_blocks_that_wait_for_their_turn_are_not_stuck(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, other = at_work(namespace, updated_at=ago(500)), at_work(namespace)
    await store(batch, done(batch, started_at=ago(510)), ready(batch), other, leased(other))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.HEALTHY, "HELD_BACK")
    assert finding.evidence == {"blocksReady": 1, "blocksInWork": 1}


async def test_a_batch_that_waits_for_its_turn_again_is_not_stuck(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    reason = {"code": "NAMESPACE_LIMIT", "message": "Two are under way."}
    batch = at_work(namespace, updated_at=ago(500), lease_until=ago(400), reason=reason)
    gone = leased(batch, lease_until=ago(400), started_at=ago(500))
    await store(batch, done(batch, started_at=ago(510)), gone)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category, finding.summary) == (
        Health.HEALTHY, "HELD_BACK", "Two are under way.",
    )  # fmt: skip


async def test_finds_counts_that_contradict_the_blocks(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = at_work(namespace, updated_at=ago(60))
    await store(batch, done(batch, started_at=ago(70)), done(batch, started_at=ago(70)))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.STUCK, "INCONSISTENT")
    assert (finding.evidence["blocksOpen"], finding.evidence["blocksLive"]) == (1, 0)


async def test_finds_blocks_that_wait_for_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = at_work(namespace, updated_at=ago(60))
    first = done(batch, started_at=ago(70))
    left = make_block(batch, status="WAITING", tier=1, reads=[first.id], waits_for=[first.id])
    await store(batch, first, left)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.STUCK, "INCONSISTENT")
    assert finding.evidence["blocksWaiting"] == 1


async def test_finds_that_everything_backs_off(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch, due = at_work(namespace), now() + timedelta(seconds=60)
    again = ready(batch, not_before=due, attempts=2, error_message="S3 does not answer.")
    await store(batch, done(batch), again)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.DEGRADED, "BACKING_OFF")
    assert finding.evidence == {
        "blocks": 1, "nextAttempt": due, "attempts": 2,
        "attemptsAllowed": stores.settings.engine.max_attempts, "message": "S3 does not answer.",
    }  # fmt: skip


@pytest.mark.parametrize(("failed", "found"), [(6, []), (7, ["BREAKER_NEAR"])])
async def test_finds_that_the_breaker_is_near(
    stores: Stores, namespace: NamespaceOfTest, failed: int, found: list[str]
) -> None:
    counts = {"rows_failed": failed, "rows_succeeded": 20 - failed}
    batch = at_work(namespace, counts=counts)
    await store(batch, done(batch, counts=counts), leased(batch))

    diagnosis = await diagnose(stores, namespace, batch)

    assert [one.category for one in diagnosis.findings] == found
    assert diagnosis.judgement.health == (Health.FAILING if found else Health.DEGRADED)
    for one in diagnosis.findings:
        assert (one.evidence["rowsFailed"], one.evidence["share"]) == (7, 0.35)


async def test_finds_an_extractor_of_which_every_row_fails(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = at_work(namespace)
    failure = {"extractor": "image@v1", "category": "DEPENDENCY", "message": "No net.", "rows": 4}
    broken = make_block(
        batch, status="FAILED", collection_id=OTHER, failure=failure,
        counts={"rows_in": 4, "rows_failed": 4}, error_message="No net.",
    )  # fmt: skip
    await store(batch, done(batch), leased(batch), broken)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category, finding.collection_id) == (
        Health.FAILING, "EXTRACTOR_FAILS", OTHER,
    )  # fmt: skip
    assert finding.evidence == {
        "extractor": "image@v1", "rowsFailed": 4, "rowsSucceeded": 0, "message": "No net.",
    }  # fmt: skip


async def test_finds_a_blocked_branch(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace)
    never = make_block(
        batch, status="CANCELED", tier=1, collection_id=OTHER, error_message="Block blk_1 failed."
    )
    await store(batch, leased(batch), never)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.DEGRADED, "BLOCKED_BRANCH")
    assert (finding.collection_id, finding.evidence) == (OTHER, {"blocks": 1, "tier": 1})
    assert "Block blk_1 failed." in finding.summary


async def test_finds_lost_attempts(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace)
    await store(batch, done(batch, lost=1, attempts=2), leased(batch, lost=2, attempts=3))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.DEGRADED, "ATTEMPTS_LOST")
    assert (finding.evidence["attemptsLost"], finding.evidence["attemptsOfOneBlock"]) == (3, 3)


@pytest.mark.parametrize(("rows", "health"), [(3, Health.FAILING), (9, Health.HEALTHY)])
async def test_finds_rows_without_an_input(
    stores: Stores, namespace: NamespaceOfTest, rows: int, health: Health
) -> None:
    batch = at_work(namespace, counts={"rows_in": rows, "rows_missing_input": 3})
    await store(batch, leased(batch))

    found, finding = await only(stores, namespace, batch)

    assert (found, finding.category) == (health, "MISSING_INPUT")
    assert finding.evidence == {"rowsMissingInput": 3, "rowsIn": rows}


async def test_finds_a_slow_tier(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace)
    slow = done(batch, collection_id=OTHER, tier=1, started_at=ago(100), finished_at=ago(10))
    await store(batch, done(batch), slow, leased(batch, collection_id=OTHER, tier=1))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category, finding.collection_id) == (Health.SLOW, "SLOW_TIER", OTHER)
    assert (finding.evidence["secondsPerBlock"], finding.evidence["blocksLeft"]) == (90, 1)


async def test_finds_a_slow_block(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = at_work(namespace)
    await store(batch, done(batch), leased(batch, started_at=ago(90)))

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.SLOW, "SLOW_BLOCK")
    assert finding.evidence["meanSeconds"] == 1


async def test_says_why_a_batch_failed(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = make_batch(namespace.id, status="FAILED", error_message="Ended early: 9 of 9 rows.")
    await store(batch)

    health, finding = await only(stores, namespace, batch)

    assert (health, finding.category) == (Health.ENDED, "BATCH_FAILED")
    assert finding.summary == "Ended early: 9 of 9 rows."
    assert "retryBatch" in finding.recommendation


@pytest.mark.parametrize("category", list(ErrorCategory))
async def test_counts_failed_rows_by_cause_and_says_what_helps(
    stores: Stores, namespace: NamespaceOfTest, category: ErrorCategory
) -> None:
    batch = make_batch(namespace.id, status="COMPLETED_WITH_ERRORS")
    errors = [
        make_row_error(batch, category=category, collection_id=COLLECTION, rows=n, transient=True)
        for n in (1, 2)
    ]
    await store(batch, *errors)

    _, finding = await only(stores, namespace, batch)

    assert (str(finding.category), finding.evidence["rows"]) == (str(category), 3)
    assert f"retryBatch(mode: TRANSIENT_ONLY, collectionIds: [{COLLECTION}])" in (
        finding.recommendation
    )


async def test_what_an_error_itself_recommends_comes_first(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="COMPLETED_WITH_ERRORS")
    await store(batch, make_row_error(batch, category="DEPENDENCY", hint="pip install onnx."))

    _, finding = await only(stores, namespace, batch)

    assert finding.recommendation.startswith("pip install onnx. Then call retryBatch(mode: ALL")


async def test_the_sample_has_rows_of_every_cause(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="COMPLETED_WITH_ERRORS")
    many = [make_row_error(batch, collection_id=COLLECTION) for _ in range(30)]
    rare = make_row_error(batch, category="TIMEOUT", collection_id=COLLECTION)
    foreign = make_row_error(make_batch(new_id("ns"), id=batch.id))
    await store(batch, *many, rare, foreign)

    found = await diagnose(stores, namespace, batch)

    assert len({one.id for one in found.sample}) == 10
    assert [one.category for one in found.sample[:3]] == ["VALIDATION", "TIMEOUT", "VALIDATION"]
    assert {one.namespace_id for one in found.sample} == {namespace.id}


def _retried(batch: Batch, sequence: int, category: str, message: str) -> Event:
    return Event(
        id=new_id("evt"), namespace_id=batch.namespace_id, batch_id=batch.id, sequence=sequence,
        type=EventType.BLOCK_RETRIED, status=batch.status,
        data={"category": category, "message": message},
    )  # fmt: skip


async def test_finds_what_attempts_were_put_off_for(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = at_work(namespace)
    events = [
        _retried(batch, 2, "RATE_LIMIT", "429, the first."),
        _retried(batch, 3, "RATE_LIMIT", "429, the last."),
        _retried(batch, 4, "DEPENDENCY", "Qdrant failed."),
    ]
    await store(batch, done(batch), leased(batch), *events)

    found = await diagnose(stores, namespace, batch)

    assert {one.category: one.evidence["attempts"] for one in found.findings} == {
        "RATE_LIMIT": 2, "DEPENDENCY": 1,
    }  # fmt: skip
    assert any("429, the last." in one.summary for one in found.findings)


async def test_the_gravest_finding_is_the_first(stores: Stores, namespace: NamespaceOfTest) -> None:
    counts = {"rows_in": 40, "rows_missing_input": 1, "rows_failed": 20, "rows_succeeded": 19}
    batch = at_work(namespace, counts=counts)
    await store(batch, done(batch, lost=1, attempts=2), leased(batch))

    found = await diagnose(stores, namespace, batch)

    assert [one.category for one in found.findings] == [
        "BREAKER_NEAR", "ATTEMPTS_LOST", "MISSING_INPUT",
    ]  # fmt: skip
    assert found.judgement.health == Health.FAILING
